"""Some seeds on PostgreSQL: the same plans, the same promises."""

import pytest

from tests.postgres import PostgresServer
from tests.simulation.plan import plan
from tests.simulation.simulation import simulate

SEEDS = (203, 209, 216)
pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_holds_on_postgresql(postgres: PostgresServer, seed: int) -> None:
    found = simulate(plan(seed), database=postgres.database())
    assert not found, f"seed {seed}: {found[:5]}"
