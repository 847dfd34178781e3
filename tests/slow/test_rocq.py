"""All Rocq proofs compiled here, against what is recorded of them: neither may drift."""

from __future__ import annotations

import pytest

from gramlab.theorems import kernel, registry
from gramlab.theorems.record import recorded

pytestmark = pytest.mark.xdist_group("rocq")  # or each worker compiles all files
PROVED = sorted(name for name, theorem in registry.items() if theorem.kernel)


@pytest.fixture(scope="module")
def found(coqc):
    checked = kernel.check_proofs(kernel.find_coqc(), [registry[name] for name in PROVED])
    return {one.theorem: one for one in checked}


@pytest.mark.parametrize("name", PROVED)
def test_what_the_kernel_finds_is_what_is_recorded(found, name):
    one, kept = found[name], recorded(registry[name])
    assert one.problem == ""
    assert kept is not None
    assert one.found.assumptions == kept.assumptions
    if one.found.coq == kept.coq:  # another version may print a statement in another way
        assert one.found == kept
