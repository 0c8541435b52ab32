"""The training loop of all training stages, with logging, snapshots and stops."""

from tqdm import tqdm

from maskgit import ranks
from maskgit.training.trainer import Metrics, Trainer, metric_values
from pipeline.plumbing.errors import Stopped, UserError, stop_later
from pipeline.plumbing.snapshots import Snapshots
from pipeline.tracking.stage import StageRun


def train(trainer: Trainer, snapshots: Snapshots, run: StageRun, name: str) -> list[dict]:
    """Does the remaining steps of a training; returns the history, a row for each logged step.

    On Ctrl-C and SIGTERM it finishes the current step, saves a snapshot and raises Stopped. Raises
    UserError.
    """
    history = []
    found = ranks.broadcast(snapshots.found)
    if found is not None:
        trainer.load_state_dict(found["trainer"])
        history = found["history"]
        print(f"resuming at step {trainer.done} of {trainer.steps}")

    def keep() -> bool:
        content = {"trainer": trainer.state_dict(), "history": history, "run": run.key}
        return snapshots.save(content)

    progress = tqdm(desc=name, initial=trainer.done, total=trainer.steps, unit="step")
    with progress as bar, stop_later() as stop:
        while trainer.done < trainer.steps:
            metrics = trainer.step()
            log_progress(run, bar, history, trainer.done, metrics, trainer.steps)
            bar.update()
            signum, due = ranks.all_reduce_max(stop.signum or 0, snapshots.due())
            if signum:
                (kept,) = ranks.all_reduce_max(keep())
                again = "run dvc repro again to go on from there"
                then = again if kept else "no snapshot of it was kept"
                raise Stopped(signum, f"stopped at step {trainer.done}; {then}")
            if due:
                keep()
    return history


def check_shares(batch_size: int) -> None:
    """Raises UserError where the batch size is not a multiple of the number of processes."""
    if batch_size % ranks.world_size():
        raise UserError(
            f"a batch of {batch_size} cannot be shared evenly by {ranks.world_size()} processes; "
            "choose another batch_size in params.yaml"
        )


def log_progress(
    run: StageRun, bar: tqdm, history: list[dict], step: int, metrics: Metrics, steps: int
) -> None:
    """Logs metrics about a hundred times in a training, and after every evaluation."""
    evaluated = any(key.startswith("val_") for key in metrics)
    if not evaluated and step % max(1, steps // 100):
        return
    try:
        metrics = ranks.all_reduce_mean(metric_values(metrics))
    except FloatingPointError as error:
        raise UserError(
            f"{error} at step {step} of {bar.desc}; lower its learning_rate in params.yaml"
        ) from None
    history.append({"step": step} | metrics)
    run.log_metrics(metrics, step)
    bar.set_postfix({key: f"{value:.3f}" for key, value in metrics.items() if key.endswith("loss")})
