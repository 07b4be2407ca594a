"""The text: sentences of a CoNLL-U file or a table, or of source code, with a label or two per word."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import controls as ct
from controls.core.rng import stream
from controls.demo.corpus import read_library
from controls.demo.minilm import chunks_of

NEEDED = ("document", "sentence", "token", "form", "upos", "head")
SHORTEST, LONGEST = 3, 60  # words of a sentence that is read
_CONLLU = 10  # columns


@final
@dataclass(frozen=True)
class Sentence:
    """Words in order, with the labels of each by task; None where a word has none."""

    genre: str
    document: str
    words: tuple[str, ...]
    labels: dict[str, tuple[str | None, ...]]


def read_text(path: Path) -> list[Sentence]:
    """Return the sentences of a CoNLL-U file, or of a table with tabs whose first line names its columns.

    Either may be compressed (``.gz``). The labels are ``"upos"`` and ``"head"``: whether the word that this one
    hangs on stands to its left, to its right, or nowhere (root).

    Raises
    ------
    InputError
        If there is no such file, a column is missing, or a line has too few of them.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "text.conllu"
    >>> lines = ["1 Go go VERB VB _ 0 root _ _", "2 on on ADP IN _ 1 advmod _ _"]
    >>> _ = path.write_text("\\n".join(lines).replace(" ", "\\t") + "\\n\\n")
    >>> read_text(path)[0].labels
    {'upos': ('VERB', 'ADP'), 'head': ('root', 'left')}
    >>> folder.cleanup()
    """
    if not path.is_file():
        raise ct.InputError(f"file must be a CoNLL-U file or a table with tabs, but there is no file {str(path)!r}.")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as lines:
        first = next(iter(lines), "")
        names = first.rstrip("\r\n").split("\t")
        table = "form" in names
        words = _of_table(names, lines) if table else _of_conllu([first], lines)
        sentences: dict[tuple[str, ...], list[tuple[int, str, str, int]]] = defaultdict(list)
        for genre, document, number, *word in words:
            sentences[genre, document, number].append(tuple(word))  # type: ignore[arg-type]
    return [_sentence(genre, document, found) for (genre, document, _), found in sentences.items()]


def _of_table(names: list[str], lines: Iterable[str]) -> Iterator[tuple]:
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise ct.InputError(f"a table must have the columns {', '.join(NEEDED)}; it lacks {', '.join(missing)}.")
    for row in csv.DictReader(lines, names, delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["head"] is None:
            raise ct.InputError(f"a line must have the {len(names)} columns of the first, got {list(row.values())}.")
        yield (row.get("genre") or "", row["document"], row["sentence"], int(row["token"]), row["form"], row["upos"],
               int(row["head"]))  # fmt: skip


def _of_conllu(first: list[str], lines: Iterable[str]) -> Iterator[tuple]:
    """Go over words; documents begin at ``# newdoc``, and a file without such is one sentence a document."""
    document, sentence, named = "", 0, False
    for text in (*first, *lines):
        line = text.rstrip("\r\n")
        if line.startswith("# newdoc"):
            document, named = line.partition("=")[2].strip() or f"document {sentence}", True
        elif not line:
            sentence += 1
        elif not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) < _CONLLU:
                raise ct.InputError(f"a line of CoNLL-U must have {_CONLLU} columns, got {line!r}.")
            if fields[0].isdigit():  # neither a multiword token (1-2) nor an empty node (1.1)
                yield (document.partition("-")[0] if "-" in document else "", document if named else str(sentence),
                       str(sentence), int(fields[0]), fields[1], fields[3], int(fields[6]))  # fmt: skip


def _sentence(genre: str, document: str, words: Sequence[tuple[int, str, str, int]]) -> Sentence:
    heads = tuple("root" if not head else "left" if head < token else "right" for token, _, _, head in words)
    labels: dict[str, tuple[str | None, ...]] = {"upos": tuple(word[2] for word in words), "head": heads}
    return Sentence(genre, document, tuple(word[1] for word in words), labels)


def read_code(count: int, per_document: int) -> list[Sentence]:
    """Return runs of 30 tokens of the standard library's files, with the role of each name (None for others)."""
    files = read_library(count // per_document)
    return [
        Sentence(
            "package" if files[chunk.file].in_package else "module",
            files[chunk.file].path,
            tuple(token.text for token in chunk.tokens),
            {"role": tuple(token.role for token in chunk.tokens)},
        )
        for chunk in chunks_of(files, per_file=per_document, size=30)
    ]


def choose(sentences: Sequence[Sentence], count: int, per_document: int, seed: int = 0) -> list[Sentence]:
    """Return sentences of 3 to 60 words: the genres take turns, each with a document drawn without replacement."""
    rng = stream(seed, "part_of_speech", "sentences")
    genres: dict[str, dict[str, list[Sentence]]] = defaultdict(lambda: defaultdict(list))
    for sentence in sentences:
        if SHORTEST <= len(sentence.words) <= LONGEST:
            genres[sentence.genre][sentence.document].append(sentence)
    queues = [[list(documents.values())[i] for i in rng.permutation(len(documents))] for documents in genres.values()]
    chosen: list[Sentence] = []
    while any(queues) and len(chosen) < count:
        for queue in queues:
            if queue:
                document = queue.pop()
                chosen += [document[i] for i in sorted(rng.permutation(len(document))[:per_document])]
    return chosen[:count]
