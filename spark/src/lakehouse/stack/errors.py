"""What can go wrong while a part of the native stack is fetched, started or stopped."""

from __future__ import annotations

from lakehouse.errors import LakehouseError


class StackError(LakehouseError):
    """A part cannot be fetched, started or stopped, or does not answer."""


class MissingTool(StackError):
    """A program that the machine has to bring is not there."""

    exit_code = 2
