"""What went wrong, as a sentence that says what to do about it."""

from __future__ import annotations

from kernelhealth_api.v1alpha1 import API_VERSION
from kernelhealth_operator.cluster import errors

EXIT_DONE, EXIT_REFUSED, EXIT_UNUSABLE = 0, 1, 2
_KINDS = ("nodekernelhealths", "kernelhealthpolicies", "noderemediations")
_TEST_FAILED = "the server rejected our request due to an error in our request"
_GRANT = (
    "ask an administrator to bind you to the ClusterRole kernelhealth-viewer to look, or "
    "kernelhealth-approver to decide, or apply manifests/base if those do not exist"
)


class ComplaintError(Exception):
    """Something that a person has to put right; *code* is the exit status."""

    def __init__(self, sentence: str, code: int = EXIT_UNUSABLE) -> None:
        super().__init__(sentence)
        self.code = code


def about(error: errors.ApiError | errors.AccessUnusable, server: str) -> ComplaintError:
    """Return what to tell of *error*; *server* is the address of the API server, if known."""
    code = EXIT_UNUSABLE
    match error:
        case errors.AccessUnusable():
            what = f"{str(error).rstrip('.')}; name one with --kubeconfig, or set KUBECONFIG"
        case errors.Unreachable():
            what = (
                f"the API server {server} does not answer ({error.message}): "
                "check the network, or name another --context"
            )
        case errors.Unauthorized():
            what = f"the API server {server} does not know you: log in again"
        case errors.Forbidden():
            what = f"{error.message.rstrip('.')}; {_GRANT}"
        case errors.NotFound() if error.call.rpartition("/")[2] in _KINDS:
            what = (
                f"the cluster does not serve {error.call.rpartition('/')[2]} of {API_VERSION}: "
                "kubectl apply -k manifests/base installs it"
            )
        case errors.Conflict() | errors.Rejected() if _lost(error):
            what = "somebody else changed it at the same moment: look, and say it again"
            code = EXIT_REFUSED
        case errors.Rejected():
            what, code = f"refused: {error.message}", EXIT_REFUSED
        case _:
            what = str(error)
    return ComplaintError(what, code)


def _lost(error: errors.ApiError) -> bool:
    """Whether what was to be changed is not as it was.

    Of a JSON patch whose test fails the API server says no more than this sentence.
    Source: apiserver pkg/endpoints/handlers/patch.go, NewGenericServerResponse with 422.
    """
    return isinstance(error, errors.Conflict) or _TEST_FAILED in error.message
