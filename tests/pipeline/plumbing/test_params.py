import pytest
import torch
import yaml
from pydantic import ValidationError

from maskgit.data.drafts import COARSENESS
from maskgit.inpainting.registry import DECODERS, Registered
from maskgit.tokenizer.settings import TokenizerConfig, TokenizerTraining
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.settings import TransformerSize, TransformerTraining
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import COARSEST_DRAFT, load_params
from pipeline.stages.sources import KEYS
from tests.clone import ROOT
from tests.wing import needs_lab


@pytest.fixture
def project(tmp_path):
    """A folder with the project's own parameters, and a way to change one of them."""
    for name in ("params.yaml", "presets.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())

    def change(key, value):
        values = yaml.safe_load((tmp_path / "params.yaml").read_text())
        *sections, last = key.split(".")
        inner = values
        for section in sections:
            inner = inner[section]
        inner[last] = value
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        return tmp_path

    return change


PRESETS = yaml.safe_load((ROOT / "presets.yaml").read_text())


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_whole(project, preset):
    loaded = load_params(project("preset", preset))
    assert loaded.train.dim == PRESETS[preset]["train"]["dim"]


def test_a_registered_decoder_can_be_named(project, monkeypatch):
    """One that nothing loads: parameters are checked without torch."""
    with pytest.raises(UserError, match=r"inpaint.decoder: should be one of confidence, .*raster"):
        load_params(project("inpaint.decoder", "raster"))
    monkeypatch.setitem(DECODERS, "raster", Registered("nowhere:Raster"))
    assert load_params(project("inpaint.decoder", "raster")).inpaint.decoder == "raster"


def test_a_changed_value_is_checked_as_a_new_one(project):
    inpaint = load_params(project("seed", 1)).inpaint
    assert inpaint.changed(fills=3).fills == 3 and inpaint.fills != 3
    for values, message in (
        ({"temperature": 0}, "greater than 0"),
        ({"fills": 3.5}, "integer"),
        ({"fils": 3}, "not permitted"),
    ):
        with pytest.raises(ValidationError, match=message):
            inpaint.changed(**values)


def test_a_value_of_its_own_wins_over_the_preset(project):
    assert load_params(project("train.layers", 7)).train.layers == 7


def test_a_value_that_the_preset_does_not_have_is_named(project):
    folder = project("data.source", "preset")
    with pytest.raises(UserError, match=r"data.source: preset laptop says nothing of it"):
        load_params(folder)


@pytest.mark.parametrize("key", ["train.steps", "vqgan.channels", "inpaint.temperature"])
def test_an_empty_value_means_none_and_is_not_filled(project, key):
    with pytest.raises(UserError, match=rf"{key}: .* but it is None"):
        load_params(project(key, None))


@pytest.mark.parametrize(
    ("key", "name"), [("data.holes", "thin"), ("score.extractor", "efficientnet_lite2")]
)
def test_a_name_alone_is_a_list_of_one(project, key, name):
    section, setting = key.split(".")
    alone, listed = (load_params(project(key, value)) for value in (name, [name]))
    assert alone == listed and getattr(getattr(alone, section), setting) == [name]


def test_numbers_that_yaml_reads_as_strings_are_numbers(project):
    assert load_params(project("train.learning_rate", "1e-05")).train.learning_rate == 1e-5


BAD = {
    "gamma": ("sinus", r"gamma: should be one of cosine, .*, but it is 'sinus'"),
    "preset": ("huge", r"preset: should be one of tiny, laptop, .*, but it is 'huge'"),
    "seed": (-1, r"seed: .* greater than or equal to 0, but it is -1"),
    "speed": (3, r"'speed' is not a parameter"),
    "train.sped": (3, r"'train.sped' is not a parameter"),
    "train.heads": (5, r"train: dim \(\d+\) should be a multiple of heads \(5\)"),
    "train.dropout": (1.5, r"train.dropout: .* less than 1, but it is 1.5"),
    "train.steps": ("many", r"train.steps: .* integer.*, but it is 'many'"),
    "train.gamma": (None, r"train.gamma: .* string, but it is None"),
    "train.learning_rate": (".inf", r"train.learning_rate: .* but it is '.inf'"),
    "data.size": (30, r"data.size: .* multiple of 4, but it is 30"),
    "data.fit": ("squash", r"data.fit: .*'crop' or 'pad', but it is 'squash'"),
    "data.hole_area": ([0.5, 0.2], r"data: hole_area should be two shares .* the smaller first"),
    "data.holes": (["a/masks", "b/masks"], r"data: two sets of masks are called masks; rename one"),
    "vqgan.codebook_size": (70000, r"vqgan.codebook_size: .* 65535, but it is 70000"),
    "inpaint.iterations": ([], r"inpaint.iterations: .* at least 1 item"),
    "inpaint.decoder": ("greedy", r"inpaint.decoder: should be one of confidence, halton, moment"),
    "inpaint.temperature": (0, r"inpaint.temperature: .* greater than 0, but it is 0"),
    "score.extractor": ("vgg", r"score.extractor.0: .*'inception', .*, but it is 'vgg'"),
    "score.baselines": (["blur"], r"score.baselines.0: should be one of mean_colour, telea"),
    "feed_forward.channels": (
        [50, 64],
        r"feed_forward.channels.0: .* multiple of 32, but it is 50",
    ),
    "data.test": (0.6, r"data.test: should be a number of images from 4, or a share below 0.5"),
    "vqgan.channels": (144, r"vqgan: channels should be a multiple of 16, above 128 of 32"),
    "inpaint.choose": ("medoid", r"inpaint: choose=medoid needs best_of of 3 or more"),
    "score.others": ({"telea": "fills"}, r"score.others: 'telea' is a row of the tables already"),
    "report.iterations": (9, r"report.iterations \(9\) should be one of inpaint.iterations"),
    "data": (None, r"data: .* but it is None"),
}


@pytest.mark.parametrize(("key", "value", "message"), [(k, *v) for k, v in BAD.items()], ids=BAD)
def test_bad_values_get_one_line_that_names_the_key(project, key, value, message):
    with pytest.raises(UserError, match=r"^params.yaml: .*" + message) as caught:
        load_params(project(key, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.holes", ["thin", "masks/thin"]),
        ("data.holes", ["masks/NA"]),
        ("score.others", {"hole": "fills"}),
        ("score.others", {"None": "fills"}),
    ],
)
def test_names_that_tables_or_pictures_would_mistake_are_refused(project, key, value):
    with pytest.raises(UserError, match=rf"^params.yaml: {key.partition('.')[0]}.*name"):
        load_params(project(key, value))


@pytest.mark.parametrize("channels", [16, 48, 128, 160, 192, 256, 320, 384])
def test_a_tokenizer_of_any_width_that_is_allowed_can_be_built(project, channels):
    found = load_params(project("vqgan.channels", channels)).vqgan
    with torch.device("meta"):
        VQGAN(**found.part(TokenizerConfig).model_dump())


def test_shares_leave_half_of_the_images_to_train(project):
    project("data.test", 0.3)
    assert load_params(project("data.validation", 0.2)).data.test == 0.3
    with pytest.raises(UserError, match=r"test and validation leave less than half of the images"):
        load_params(project("data.validation", 0.3))


def test_drafts_are_of_whole_pixels(project):
    project("drafts", 0.25)
    project("data.size", 96)
    load_params(project("report.iterations", 5))
    with pytest.raises(UserError, match=r"drafts need a data\.size in steps of 8"):
        load_params(project("data.size", 100))
    assert max(COARSENESS) == COARSEST_DRAFT


def test_a_number_of_codes_that_the_quantizer_cannot_have_is_named(project):
    project("vqgan.codebook_size", 1000)
    assert load_params(project("vqgan.quantizer", "kmeans")).vqgan.codebook_size == 1000
    with pytest.raises(UserError, match=r"^params.yaml: vqgan: quantizer fsq takes .* not 1000$"):
        load_params(project("vqgan.quantizer", "fsq"))


def test_a_picture_is_a_whole_number_of_cells(project):
    project("vqgan.cell", 8)
    with pytest.raises(UserError, match=r"data.size \(100\) should be a multiple of vqgan.cell"):
        load_params(project("data.size", 100))
    project("train.start_from", "model")  # its tokenizer has a cell of its own
    assert load_params(project("data.size", 100)).data.size == 100


@pytest.mark.parametrize("path", ["outputs/model", "outputs/../outputs/model/"])
def test_no_training_starts_from_what_it_replaces(project, path):
    with pytest.raises(UserError, match="outputs/model, which each run writes anew; copy it"):
        load_params(project("train.start_from", path))


def test_a_transformer_of_0_steps_is_one_that_there_is(project):
    with pytest.raises(UserError, match=r"train\.steps is 0, which keeps the transformer of"):
        load_params(project("train.steps", 0))
    params = load_params(project("train.start_from", "model"))
    assert params.keeps_transformer and params.teaches_mean and not params.keeps_mean
    params = load_params(project("mean_decoder.steps", 0))
    assert params.keeps_mean and not params.teaches_mean


def test_lpips_needs_pictures_that_its_network_can_see(project):
    project("score.lpips", "alexnet.pth")
    assert load_params(project("data.size", 32)).score.lpips == "alexnet.pth"
    project("vqgan.cell", 4)
    with pytest.raises(UserError, match=r"score.lpips needs data.size of at least 32, not 28"):
        load_params(project("data.size", 28))


def test_windows_and_crops_exclude_each_other(project):
    project("data.crops", 2)
    with pytest.raises(UserError, match=r"data: windows makes all splits .* one of them to 0"):
        load_params(project("data.windows", 2))


@pytest.mark.parametrize(
    ("key", "value"), [("vqgan.checkpoint", "VQGAN.pt"), ("train.pixels", False)]
)
def test_drafts_need_networks_that_see_them(project, key, value):
    project("drafts", 0.25)
    with pytest.raises(UserError, match=r"drafts are seen in the known pixels: .* set drafts=0"):
        load_params(project(key, value))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "gamma: [", "gamma: \x00"])
def test_files_that_are_no_parameters(project, text):
    folder = project("seed", 1)
    (folder / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^params.yaml[: ]") as caught:
        load_params(folder)
    assert "\n" not in str(caught.value)


class WiderSize(TransformerSize):
    window: int = 3


class WiderTraining(TransformerTraining):
    restarts: int = 0


class WiderTrain(WiderSize, WiderTraining):
    """A section with one more setting of the network and one more of the training."""


def test_a_new_setting_reaches_network_and_trainer_without_another_list(project):
    given = load_params(project("preset", "tiny")).train
    size, training = (dict(given.part(kind)) for kind in (TransformerSize, TransformerTraining))
    section = WiderTrain(**size, **training, window=5, restarts=2)
    assert section.part(WiderSize).model_dump() == size | {"window": 5}
    assert section.part(WiderTraining).model_dump() == training | {"restarts": 2}


@pytest.mark.parametrize(
    ("section", "taken"),
    [
        ("vqgan", TokenizerConfig),
        ("vqgan", TokenizerTraining),
        ("train", TransformerSize),
        ("train", TransformerTraining),
    ],
)
def test_a_section_is_what_network_and_trainer_take(project, section, taken):
    loaded = getattr(load_params(project("preset", "tiny")), section)
    assert isinstance(loaded, taken)
    assert all(getattr(loaded, k) == v for k, v in loaded.part(taken))


IMPORTED = "vqgan.checkpoint", "train.checkpoint"


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=needs_lab) if key in IMPORTED else key for key in KEYS]
)
def test_a_tilde_means_the_home_in_every_path(project, monkeypatch, key):
    monkeypatch.setenv("HOME", "/home/anna")
    if key == "train.checkpoint":
        project("vqgan.checkpoint", "VQGAN.pt")
    if key == "score.lpips":
        project("data.size", 64)
    section, name = key.split(".")
    value = {"lama": "~/own/file"} if key == "score.others" else "~/own/file"
    found = getattr(getattr(load_params(project(key, value)), section), name)
    expected = {
        "score.others": {"lama": "/home/anna/own/file"},
        "data.holes": ["/home/anna/own/file"],
    }
    assert found == expected.get(key, "/home/anna/own/file")


def test_a_hole_may_be_a_drawn_kind_or_the_path_of_masks(project):
    data = load_params(project("data.holes", ["box", "sets/film.zip", "./masks"])).data
    assert data.mask_sets == ["sets/film.zip", "./masks"]
    assert data.hole_kinds == ["box", "film.zip", "masks"]
    with pytest.raises(UserError, match=r"data.holes.0: .*path of a folder or zip .* 'masks'"):
        load_params(project("data.holes", "masks"))


def test_other_tools_have_names_that_tables_and_dvc_take(project):
    assert load_params(project("score.others", None)).score.others == {}
    assert load_params(project("score.others", {"lama": "a"})).score.others == {"lama": "a"}
    for name in ("big lama", "lama-2", "2", "true_images", "cosine"):
        with pytest.raises(UserError, match=rf"score.others: '{name}' "):
            load_params(project("score.others", {name: "a"}))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_feed_forward_network_has_the_tokenizers_perceptual_loss(project, preset):
    """So that the two are compared and not two losses."""
    loaded = load_params(project("preset", preset))
    assert loaded.feed_forward.perceptual_weight == loaded.vqgan.perceptual_weight
