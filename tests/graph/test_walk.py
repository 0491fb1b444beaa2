from __future__ import annotations

from typing import Any

import pytest

from provenance.graph import build, walk

Draw = Any  # the class in conftest.py


def _names(graph: Any, digests: tuple[str, ...]) -> set[str]:
    return {graph.name_of(digest) for digest in digests}


@pytest.fixture
def graph(draw: Draw) -> Any:
    return build.build(
        [
            [
                draw.artifact("raw", "dataset", source="https://example.org"),
                draw.artifact("clean", "dataset"),
                draw.step(["raw"], ["clean"], name="clean"),
                draw.artifact("first", "checkpoint"),
                draw.step(["clean", "base"], ["first"], role="training-data"),
                draw.artifact("last", "checkpoint"),
                draw.step(["clean", "first"], ["last"]),
                draw.artifact("elsewhere", "checkpoint"),
                draw.artifact("loose", "dataset"),
                draw.step(["loose", "elsewhere"], ["other"]),
            ]
        ]
    )


def test_the_way_back_holds_everything_that_something_came_from(
    draw: Draw, graph: Any
) -> None:
    way = walk.back(graph, [draw.digest("last")])
    assert _names(graph, way.digests) == {"last", "first", "clean", "raw", "base"}
    assert way.steps[0].products[0].name == "last"
    assert len(way.steps) == 3
    assert way.roles == {"input", "training-data"}
    assert len(way.uses) == 5


def test_what_is_used_and_not_stated_is_missing(draw: Draw, graph: Any) -> None:
    way = walk.back(graph, [draw.digest("last")])
    assert _names(graph, way.missing) == {"base"}
    assert way.unmade == way.unsourced == way.opaque == ()


def test_checkpoints_that_nobody_made_and_datasets_from_nowhere(
    draw: Draw, graph: Any
) -> None:
    way = walk.back(graph, [draw.digest("other")])
    assert _names(graph, way.unmade) == {"elsewhere"}
    assert _names(graph, way.unsourced) == {"loose"}


def test_a_start_that_nothing_is_known_of_is_missing(graph: Any) -> None:
    way = walk.back(graph, ["f" * 64])
    assert way.missing == ("f" * 64,)
    assert way.steps == ()


def test_from_nowhere_the_way_is_empty(graph: Any) -> None:
    assert walk.back(graph, []).digests == ()


@pytest.mark.parametrize("kind", ["model", "file"])
def test_models_and_files_may_come_from_outside(draw: Draw, kind: str) -> None:
    graph = build.build([[draw.artifact("x", kind)]])
    way = walk.back(graph, [draw.digest("x")])
    assert way.unmade == way.unsourced == ()


def test_a_checkpoint_that_is_also_recorded_as_a_base_model_is_a_root(
    draw: Draw,
) -> None:
    graph = build.build([[draw.artifact("x", "checkpoint"), draw.artifact("x")]])
    assert walk.back(graph, [draw.digest("x")]).unmade == ()


@pytest.mark.parametrize(
    ("facts", "unsourced"),
    [
        ({}, True),
        ({"source": ""}, True),
        ({"license": "CC0-1.0"}, True),
        ({"source": "https://example.org"}, False),
    ],
)
def test_a_dataset_names_its_source(
    draw: Draw,
    facts: dict[str, str],
    unsourced: bool,  # noqa: FBT001 (parametrized)
) -> None:
    graph = build.build([[draw.artifact("x", "dataset", **facts)]])
    assert bool(walk.back(graph, [draw.digest("x")]).unsourced) is unsourced


def test_one_statement_with_a_source_is_enough(draw: Draw) -> None:
    first = draw.artifact("x", "dataset")
    second = draw.artifact("x", "dataset", source="https://example.org")
    graph = build.build([[first, second]])
    assert walk.back(graph, [draw.digest("x")]).unsourced == ()


def test_what_only_an_unknown_type_describes_is_opaque(draw: Draw) -> None:
    graph = build.build([[draw.opaque("x"), draw.step(["x"], ["y"])]])
    assert walk.back(graph, [draw.digest("y")]).opaque == (draw.digest("x"),)


def test_an_empty_file_leads_nowhere(draw: Draw) -> None:
    """It is the same in every project: who made one did not make all of them."""
    graph = build.build(
        [
            [
                draw.artifact("", "file"),
                draw.step([""], ["model"]),
                draw.step(["secret"], [""]),
            ]
        ]
    )
    way = walk.back(graph, [draw.digest("model")])
    assert "secret" not in _names(graph, way.digests)
    assert len(way.steps) == 1


def test_content_that_comes_back_does_not_make_the_walk_go_in_circles(
    draw: Draw,
) -> None:
    graph = build.build([[draw.step(["x"], ["x"]), draw.step(["x"], ["y"])]])
    way = walk.back(graph, [draw.digest("y")])
    assert set(way.digests) == {draw.digest("x"), draw.digest("y")}
    assert len(way.steps) == 2


def test_only_what_a_step_had_used_until_then_is_on_the_way(draw: Draw) -> None:
    graph = build.build(
        [
            [
                draw.step(["a"], ["first"], step_id="c" * 32),
                draw.step(["a", "b"], ["second"], step_id="c" * 32),
            ]
        ]
    )
    way = walk.back(graph, [draw.digest("first")])
    assert _names(graph, way.digests) == {"first", "a"}


def test_a_step_that_made_several_things_is_walked_once(draw: Draw) -> None:
    step = draw.step(["a"], ["b", "c"])
    graph = build.build([[step, draw.step(["b", "c"], ["d"])]])
    way = walk.back(graph, [draw.digest("d")])
    assert way.steps.count(step.body) == 1


def test_a_chain_of_any_length_is_walked(draw: Draw) -> None:
    length = 5_000
    steps = [draw.step([str(n)], [str(n + 1)]) for n in range(length)]
    way = walk.back(build.build([steps]), [draw.digest(str(length))])
    assert len(way.digests) == length + 1
