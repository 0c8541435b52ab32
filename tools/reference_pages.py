"""Writes the generated pages of the site; mkdocs runs it through the plugin gen-files.

The command line comes from the typer app, the settings from the pydantic models, params.yaml and
presets.yaml, the scores from their list, and the Python API from the docstrings of `maskgit`.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.cli import app
from pipeline.plumbing.params import Params
from pipeline.reporting.text import columns_markdown

NOTE = "*This page is generated from the code.*\n"


def command_page() -> str:
    """Returns the page of all verbs in Markdown, in the order and groups of `--help`."""
    group = typer.main.get_command(app)
    lines = ["# Command line", NOTE, group.help or "", ""]
    shown = {name: verb for name, verb in group.commands.items() if not verb.hidden}
    lines += ["| for | verb | what it does |", "|---|---|---|"]
    panel = ""
    for name, verb in shown.items():
        heading = "" if verb.rich_help_panel == panel else verb.rich_help_panel
        panel = verb.rich_help_panel
        link = f"[`maskgit {name}`](#maskgit-{name})"
        lines.append(f"| {heading} | {link} | {first_sentence(verb.help)} |")
    for name, verb in shown.items():
        lines += ["", f"## maskgit {name}", "", *help_paragraphs(verb.help)]
        lines += ["| argument or option | default | meaning |", "|---|---|---|"]
        for parameter in verb.params:
            if parameter.name != "help":
                lines.append(parameter_row(parameter))
    return "\n".join(lines) + "\n"


def first_sentence(text: str) -> str:
    """Returns the first paragraph of a text, in one line."""
    return " ".join(text.split("\n\n")[0].split())


def help_paragraphs(text: str) -> Iterator[str]:
    """Returns the help of a verb in Markdown; its example becomes a code block."""
    for paragraph in text.strip().split("\n\n"):
        line = " ".join(paragraph.split())
        if line.startswith("Example: "):
            yield f"```\n{line.removeprefix('Example: ')}\n```\n"
        else:
            yield line + "\n"


def parameter_row(parameter) -> str:
    """Returns one argument or option as a row of a table."""
    option = parameter.param_type_name == "option"
    names = [*parameter.opts, *parameter.secondary_opts]
    called = ", ".join(names) if option else (parameter.metavar or parameter.name.upper())
    default = parameter.default
    if parameter.required:
        default = "required"
    elif default is None or default is False:
        default = ""
    else:
        default = f"`{default}`"
    limits = [getattr(parameter, end, None) for end in ("min", "max")]
    span = "" if limits == [None, None] else f" Allowed: {between(*limits)}."
    return f"| `{called}` | {default} | {parameter.help or ''}{span} |"


def between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"


def settings_page() -> str:
    """Returns the page of all settings in Markdown: type, range, default and presets."""
    schema = Params.model_json_schema()
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    presets = yaml.safe_load((ROOT / "presets.yaml").read_text(encoding="utf-8"))
    meanings = comments((ROOT / "params.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Settings",
        NOTE,
        "All settings are in `params.yaml`. `dvc exp run -S SECTION.NAME=VALUE` writes one into it",
        "and runs; the value stays there. Where the default is `preset`, the value comes from",
        "`presets.yaml`; the second table of a section shows it. An empty default means none.",
        "",
    ]
    top = {name: value for name, value in values.items() if not isinstance(value, dict)}
    lines += ["## Top level", "", *setting_rows("", top, schema, schema, meanings), ""]
    for name, section in values.items():
        if isinstance(section, dict):
            described = resolved(schema["properties"][name], schema)
            lines += [f"## {name}", ""]
            lines += [*setting_rows(f"{name}.", section, described, schema, meanings), ""]
            lines += preset_rows(name, section, presets)
    return "\n".join(lines) + "\n"


def setting_rows(prefix: str, values: dict, described: dict, schema: dict, meanings: dict):
    yield "| setting | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for name, value in values.items():
        path = prefix + name
        part = described.get("properties", {}).get(name, {})
        if isinstance(value, dict) and value:
            inner = resolved(part, schema)
            yield from list(setting_rows(path + ".", value, inner, schema, meanings))[2:]
        else:
            default = "" if value is None else f"`{plain(value)}`"
            yield f"| `{path}` | {default} | {allowed(part, schema)} | {meanings.get(path, '')} |"


def preset_rows(name: str, section: dict, presets: dict) -> Iterator[str]:
    asked = [key for key, value in section.items() if value == "preset"]
    if asked:
        yield "| preset | " + " | ".join(f"`{key}`" for key in asked) + " |"
        yield "|---|" + "---:|" * len(asked)
        for preset, sections in presets.items():
            cells = (plain(sections.get(name, {}).get(key, "")) for key in asked)
            yield f"| `{preset}` | " + " | ".join(cells) + " |"
        yield ""


def plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


def resolved(part: dict, schema: dict) -> dict:
    """Returns a part of a JSON schema with its reference followed."""
    while True:
        if "allOf" in part:
            part = part["allOf"][0]
        elif "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
        else:
            return part


def allowed(part: dict, schema: dict) -> str:
    """Returns in words what a JSON schema allows."""
    part = resolved(part, schema)
    if "anyOf" in part:
        return " or ".join(allowed(option, schema) for option in part["anyOf"])
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    if part.get("type") == "array":
        inner = part.get("items") or {}
        each = allowed(inner, schema) if inner else "number"
        return f"list of {each}"
    kinds = {"integer": "whole number", "number": "number", "string": "text", "null": "empty"}
    kinds["object"] = "names with a text each"
    words = kinds.get(part.get("type", ""), part.get("type", "value"))
    words = "`true` or `false`" if part.get("type") == "boolean" else words
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "multipleOf": "multiple of",
    }
    most = 10**7  # larger limits only stop typing errors
    ends = [
        f"{word} {part[key]:g}" for key, word in limits.items() if key in part and part[key] <= most
    ]
    return ", ".join([words, *ends])


def comments(text: str) -> dict[str, str]:
    """Returns the comment of each setting in params.yaml, by its path, over several lines too."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        key = re.match(r"( *)(\w+):", line)
        note = re.search(r"(?:^|\s)#\s?(.*)$", line)
        if key:
            depth = len(key[1])
            path = [part for part in path if part[0] < depth] + [(depth, key[2])]
            found[".".join(name for _, name in path)] = note[1].strip() if note else ""
        elif note and path and line.startswith(" "):
            name = ".".join(part for _, part in path)
            found[name] = f"{found[name]} {note[1].strip()}".strip()
    return found


def api_pages() -> Iterator[tuple[str, str]]:
    """Yields path and text of one page for each room of the library."""
    library = ROOT / "maskgit"
    rooms = [room for room in sorted(library.iterdir()) if (room / "__init__.py").is_file()]
    top = [
        "# Python API",
        NOTE,
        "The package `maskgit` is the library. [Python](../../python.md) shows how to use it.",
        "",
        "| package | modules |",
        "|---|---|",
    ]
    for room in rooms:
        names = ", ".join(f"`{module.stem}`" for module in modules(room))
        top.append(f"| [`maskgit.{room.name}`]({room.name}.md) | {names} |")
    top += ["", "## Modules at the top", ""]
    top += [directive(module) for module in modules(library)]
    yield "reference/api/index.md", "\n".join(top) + "\n"
    for room in rooms:
        parts = [f"# maskgit.{room.name}", NOTE, *map(directive, all_modules(room))]
        yield f"reference/api/{room.name}.md", "\n\n".join(parts) + "\n"


def modules(folder: Path) -> list[Path]:
    """Returns the public modules directly in a folder."""
    return [path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]


def all_modules(folder: Path) -> list[Path]:
    """Returns the public modules at any depth of a folder."""
    return [path for path in sorted(folder.rglob("*.py")) if not path.stem.startswith("_")]


def directive(module: Path) -> str:
    """Returns the line by which mkdocstrings shows a module."""
    return "::: " + ".".join(module.relative_to(ROOT).with_suffix("").parts) + "\n"


def scores_page() -> str:
    """Returns the page of all scores in Markdown, as `maskgit.scoring.scores.SCORES` lists them."""
    words = (
        "Columns of `reports/scores.csv`. [Read your scores](../scores.md) says what each rewards."
    )
    return "\n".join(["# Scores", NOTE, words, "", columns_markdown()]) + "\n"


def pages() -> Iterator[tuple[str, str]]:
    """Yields path below docs/ and text of each generated page."""
    yield "reference/cli.md", command_page()
    yield "reference/settings.md", settings_page()
    yield "reference/scores.md", scores_page()
    yield from api_pages()


if __name__ == "<run_path>":  # as gen-files runs it
    import mkdocs_gen_files

    for name, text in pages():
        with mkdocs_gen_files.open(name, "w", encoding="utf-8") as file:
            file.write(text)
