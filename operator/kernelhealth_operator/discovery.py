"""Whether the custom resources are there, before anything is watched."""

from __future__ import annotations

import asyncio
import logging

from kernelhealth_api.v1alpha1 import API_VERSION
from kernelhealth_operator.cluster.errors import ApiError, NotFound
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.errors import ResourcesMissing

_LOGGER = logging.getLogger(__name__)
_NEEDED = frozenset({"nodekernelhealths", "kernelhealthpolicies", "noderemediations"})
_PERIOD = 1.0


async def installed(session: ApiSession, patience: float = 60.0) -> None:
    """Waits until the API server serves all custom resources, for at most *patience* seconds.

    They are usually applied together with the operator and take a moment to be served. Raises
    ``ResourcesMissing``.
    """
    missing: frozenset[str] = _NEEDED
    try:
        async with asyncio.timeout(patience):
            while missing := await _missing(session):
                _LOGGER.info("Waiting for the custom resources %s", ", ".join(sorted(missing)))
                # Discovery has no watch: asking again is all there is.
                await asyncio.sleep(_PERIOD)
    except TimeoutError as error:
        raise ResourcesMissing(
            f"The API server does not serve {', '.join(sorted(missing))} of {API_VERSION}: "
            "apply the shipped custom resource definitions, then start again."
        ) from error


async def _missing(session: ApiSession) -> frozenset[str]:
    try:
        answer = await session.request("GET", f"/apis/{API_VERSION}")
    except NotFound:
        return _NEEDED
    except ApiError as error:
        _LOGGER.warning("The API server could not be asked what it serves: %s", error)
        return _NEEDED
    return _NEEDED - {resource["name"] for resource in answer["resources"]}
