"""Finds the recordings that a folder, a file or a glob names.

Folders are searched to any depth, through symbolic links too, each real folder once.
What has no audio file's ending is not a recording and is only counted, by ending; so
are hidden files. A file that is named outright is taken, whatever its name.
"""

import collections
import dataclasses
import glob
import os
import re
from collections.abc import Iterable

# Endings of sound, and of films whose sound is taken; `decode` looks at the content.
AUDIO_SUFFIXES = frozenset(
    ".wav .wave .bwf .flac .ogg .oga .opus .mp3 .mp2 .mpga .aif .aiff .aifc .au .snd"
    " .caf .w64 .rf64 .voc .m4a .m4b .mp4 .m4v .aac .wma .asf .ape .wv .tta .alac"
    " .mka .mkv .webm .weba .ac3 .dsf .amr .3gp .3ga .mov .avi .flv .mpc".split()
)
# A Mac's zip has such a folder, with a `._name` of attributes beside every name.
MAC_FOLDER = "__MACOSX"
HIDDEN = "hidden"  # among what is passed over
_GLOB_CHARACTERS = re.compile(r"[*?[]")


@dataclasses.dataclass(frozen=True)
class FoundFiles:
    """What a search found.

    Attributes:
        paths: Absolute paths with an audio ending (or named outright), sorted.
        names: A name for each path: relative to what was searched, unique.
        passed_over: Count of other entries by kind, such as `{".txt": 2, "folder": 1}`.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    passed_over: dict[str, int]


def _is_audio(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in AUDIO_SUFFIXES


def _is_hidden(path: str, root: str) -> bool:
    """Tells names below `root` that begin with a dot or lie in a Mac's zip folder."""
    parts = os.path.relpath(path, root).split(os.sep)
    return path != root and any(
        part == MAC_FOLDER or (part.startswith(".") and part != "..") for part in parts
    )


def _walk(folder: str) -> Iterable[str]:
    """All files under `folder`; a folder reached twice (by links) is read once."""
    seen: set[tuple[int, int]] = set()
    stack = [folder]
    while stack:
        current = stack.pop()
        try:
            status = os.stat(current)
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            yield current  # the probe will say why it cannot be read
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if os.path.isdir(entry.path):
                stack.append(entry.path)
            else:
                yield entry.path


def _expand(pattern: str, named: str) -> tuple[str, list[str], list[str]]:
    """Root for names, files meant to be recordings, files passed over."""
    pattern = os.path.expanduser(pattern)
    path = os.path.abspath(pattern)
    if os.path.isdir(path):
        files = list(_walk(path))
        # A folder that could not be opened comes back by its own name: keep it.
        audio = [
            f
            for f in files
            if (_is_audio(f) or os.path.isdir(f)) and not _is_hidden(f, path)
        ]
        return path, audio, sorted(set(files) - set(audio))
    if os.path.lexists(path):
        return os.path.dirname(path), [path], []
    if _GLOB_CHARACTERS.search(pattern):
        # Of the pattern as it is: the current folder's own name is no pattern.
        matches = sorted(map(os.path.abspath, glob.glob(pattern, recursive=True)))
        root = os.path.abspath(os.path.dirname(_GLOB_CHARACTERS.split(pattern)[0]))
        # A folder among the matches of a glob was not asked for: its files were not.
        files = [f for f in matches if not os.path.isdir(f)]
        files = [f for f in files if not _is_hidden(f, root)]
        audio = [f for f in files if _is_audio(f)] or files
        return root, audio, sorted(set(matches) - set(audio))
    raise FileNotFoundError(f"{named}: no such file or folder ({path}).")


def find_recordings(patterns: Iterable[str], *, flag: str = "--input") -> FoundFiles:
    """Lists the files that `patterns` name.

    Args:
        patterns: Folders, files or globs (`**` goes to any depth).
        flag: Where they come from, for messages.

    Returns:
        The files, each once, in the order of their names.

    Raises:
        FileNotFoundError: If a pattern names nothing; says what was searched.
    """
    names: dict[str, str] = {}
    passed_over: collections.Counter[str] = collections.Counter()
    for pattern in patterns:
        named = f"{flag}={pattern!r}"
        root, audio, others = _expand(pattern, named)
        if not audio:
            raise FileNotFoundError(_nothing_found(pattern, named, others=others))
        for path in audio:
            name = os.path.relpath(path, root)
            # The folder itself is in the list where it cannot be opened.
            names.setdefault(path, os.path.basename(root) if name == "." else name)
        for path in others:
            passed_over[_kind(path, root)] += 1
    ordered = sorted(names, key=lambda path: (names[path], path))
    unique = collections.Counter(names.values())
    return FoundFiles(
        paths=tuple(ordered),
        names=tuple(names[p] if unique[names[p]] == 1 else p for p in ordered),
        passed_over=dict(sorted(passed_over.items())),
    )


def name_apart(found: FoundFiles, other: FoundFiles) -> FoundFiles:
    """The same files; one whose name is that of another file goes by its path."""
    taken = dict(zip(other.names, other.paths, strict=True))
    names = (
        name if taken.get(name, path) == path else path
        for name, path in zip(found.names, found.paths, strict=True)
    )
    return dataclasses.replace(found, names=tuple(names))


def _kind(path: str, root: str) -> str:
    """The kind of an entry that is passed over, for counting."""
    if _is_hidden(path, root):
        return HIDDEN
    if os.path.isdir(path):
        return "folder"
    return os.path.splitext(path)[1].lower() or "no ending"


def _nothing_found(pattern: str, named: str, *, others: list[str]) -> str:
    endings = " ".join(sorted(AUDIO_SUFFIXES))
    seen = f"{len(others)} other entries" if others else "nothing at all"
    return (
        f"{named} holds no recording: {seen} under "
        f"{os.path.abspath(os.path.expanduser(pattern))}. Audio files end in {endings}."
    )
