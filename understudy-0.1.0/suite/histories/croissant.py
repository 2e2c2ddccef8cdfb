"""Croissant: what a published dataset of runs holds, in JSON-LD that dataset tools and search engines read.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec.html, version 1.0. As in the Hub's own
descriptions, the files are in one git repository, whose FileObject has no hash: SHA256SUMS has one per file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from understudy.suite.histories.history_format import COLUMNS

NAME: Final = "croissant.json"
REPOSITORY: Final = "repo"  # id of the FileObject
VERSION: Final = "http://mlcommons.org/croissant/1.0"
NO_HASH: Final = "https://github.com/mlcommons/croissant/issues/80"  # of a git repository
LICENCES: Final = {"cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/"}
TYPES: Final = {"u1": "sc:Integer", "<f4": "sc:Float", "?": "sc:Boolean"}  # by the columns' dtypes
MEANING: Final = {
    "action": "as executed",
    "reward": "raw points",
    "terminated": "the game ended the episode",
    "truncated": "the episode cap ended the episode",
    "explored": "exploration replaced the player's action",
}
_CONTEXT: Final[Mapping[str, Any]] = {  # that of the specification
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def text(
    title: str, repo: str, licence: str, files_of: Mapping[str, str], archives: Mapping[str, str]
) -> str:
    """Return the description as JSON; equal arguments give equal text.

    Args:
        title: of the dataset.
        repo: "user/repo" on the Hub.
        licence: the Hub's identifier, one of LICENCES.
        files_of: pattern of the Parquet files' paths by the name of each table, which is the viewer's name of
            the configuration.
        archives: SHA-256 by path of each archive of packed runs, whose tables are not described.
    """
    url = f"https://huggingface.co/datasets/{repo}"
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": repo.replace("/", "_"),
        "alternateName": title,
        "description": f"{title}: a table a game, a row a move, in order of runs and of moves.",
        "license": LICENCES[licence],
        "url": url,
        "keywords": ["reinforcement learning", "learning histories", "understudy"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": REPOSITORY,
                "name": REPOSITORY,
                "description": "The repository; its SHA256SUMS has a hash of each file.",
                "contentUrl": url,
                "encodingFormat": "git+https",
                "sha256": NO_HASH,
            },
            *(_archive(url, path, sha256) for path, sha256 in archives.items()),
            *(_file_set(name, pattern) for name, pattern in files_of.items()),
        ],
        "recordSet": [_record_set(name) for name in files_of],
    }
    return f"{json.dumps(described, indent=1)}\n"


def _archive(url: str, path: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "description": "Packed runs.",
        "contentUrl": f"{url}/resolve/main/{path}",
        "encodingFormat": "application/zip",
        "sha256": sha256,
    }


def _file_set(name: str, pattern: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-of-{name}",
        "name": f"files-of-{name}",
        "description": f"The runs of {name}, a file each.",
        "containedIn": {"@id": REPOSITORY},
        "encodingFormat": "application/x-parquet",
        "includes": pattern,
    }


def _record_set(name: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The moves of the runs of {name}.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "description": MEANING[column],
                "dataType": TYPES[dtype],
                "source": {"fileSet": {"@id": f"files-of-{name}"}, "extract": {"column": column}},
            }
            for column, dtype in COLUMNS.items()
        ],
    }
