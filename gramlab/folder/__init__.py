"""A folder of feature shards: written by one process at a time, resumed, verified, never half-read.

    plan.json                         what the folder is to become; there while it is unfinished
    train-00003-of-00011.safetensors  rows of a split, whole or absent, each with its own checksum
    manifest.json                     last: the plan, every shard with its SHA-256, broken inputs
    quarantine/                       damaged shards, moved out of the way by a writer or a check

A folder without a manifest is unfinished and is not read. A shard is written under a temporary
name, synced and renamed, so a writer killed at any moment leaves whole shards only, and the next
one goes on at the first missing one. The plan names everything that the rows depend on; a folder
whose plan differs in anything is refused, with the differences, and never silently used.
"""

from __future__ import annotations

from gramlab.folder.manifest import Manifest, is_feature_folder, read_manifest
from gramlab.folder.quarantine import quarantine_damage
from gramlab.folder.reader import read_folder
from gramlab.folder.shard import Broken, Shard
from gramlab.folder.writer import FolderWriter, writing

__all__ = [
    "Broken",
    "FolderWriter",
    "Manifest",
    "Shard",
    "is_feature_folder",
    "quarantine_damage",
    "read_folder",
    "read_manifest",
    "writing",
]
