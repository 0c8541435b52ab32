"""Prints the longest sentence and the mean sentence length of each page of the documentation.

`python -m tools.sentences` measures README.md, CONTRIBUTING.md and every page of docs/. Code
blocks, tables and pictures do not count. The research log is left out, since it is a record. A test
holds the limits.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
MOST_WORDS = 25  # in any sentence
MOST_MEAN = 18  # words a sentence, on any page


class Page(NamedTuple):
    """The sentences of one page."""

    name: str
    sentences: list[str]

    @property
    def longest(self) -> str:
        return max(self.sentences, key=words, default="")

    @property
    def mean(self) -> float:
        return sum(map(words, self.sentences)) / max(1, len(self.sentences))


def words(sentence: str) -> int:
    """Returns the number of words in a sentence; code in backticks is one word."""
    return len(re.findall(r"\S*\w\S*", re.sub(r"`[^`]*`", "code", sentence)))


def pages() -> list[Page]:
    """Returns all pages that users read, but for the research log and generated ones."""
    names = ["README.md", "CONTRIBUTING.md"]
    names += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
    return [
        Page(name, list(sentences((ROOT / name).read_text(encoding="utf-8")))) for name in names
    ]


def sentences(text: str) -> Iterator[str]:
    """Yields the sentences of a page in Markdown; a list item or a paragraph ends one."""
    text = re.sub(r"^ *```.*?^ *```", "\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "\n", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    lines = [
        "" if re.match(r"\s*(\||#|===|--8<--)", line) else re.sub(r"^\s*([-*>]|\d+\.) ", "\n", line)
        for line in text.splitlines()
    ]
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        plain = " ".join(paragraph.replace("*", "").split())
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z`\"0-9])", plain):
            if re.search(r"\w", sentence):
                yield sentence


def main() -> None:
    for page in pages():
        print(f"{page.name}: mean {page.mean:.1f}, longest {words(page.longest)}: {page.longest}")


if __name__ == "__main__":
    main()
