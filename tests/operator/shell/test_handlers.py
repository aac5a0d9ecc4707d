from __future__ import annotations

import ast
import inspect

from kernelhealth_operator import main


def test_every_handler_of_kopf_is_a_coroutine_since_others_run_in_threads() -> None:
    tree = ast.parse(inspect.getsource(main))
    functions = [
        one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    handlers = [
        one for one in functions if any("kopf.on." in ast.unparse(d) for d in one.decorator_list)
    ]

    assert {one.name for one in handlers} >= {"login", "begin", "alive", "policy", "remediation"}
    assert [one.name for one in handlers if isinstance(one, ast.FunctionDef)] == []
