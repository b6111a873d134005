"""The test of a connection before a provider is saved: its models are listed."""

import json

from modelbay.catalog.summary import counted
from modelbay.draft import Draft
from modelbay.errors import MissingCredential, ModelbayError, ProviderError, TransportError
from modelbay.onboarding.probe import Detected, detect
from modelbay.onboarding.setup.questions import key_question
from modelbay.onboarding.setup.run import SetupRun
from modelbay.onboarding.setup.steps import Connection
from modelbay.secrecy import masked_url


async def ask_for_models(run: SetupRun, made: Draft, named: list[str]) -> Detected:
    key = ("detect", made.id, json.dumps(made.table, default=str), tuple(named))
    return await run.once(key, f"Listing the models of {made.id}", lambda: detect(run.config, made, named))


def check_refused(run: SetupRun, detected: Detected, *, named: bool) -> None:
    """Ask for the API key again if the provider rejected it. If the user named models, the key may be kept."""
    key = detected.draft.table.get("api_key")
    left = named and (run.answers.get("api_key") == "" or ("api_key" not in run.answers and key is not None))
    if not detected.refused or left:
        return
    question = key_question(detected.draft, required=not named)
    question.error = no_models(detected)
    question.about = [detected.error.message if detected.error else "", *question.about]
    question.problem = "The API key was rejected" if key else question.missing
    run.again(question, question.problem)


def say_detected(run: SetupRun, detected: Detected) -> None:
    """Add notes about the list of models: skipped models, problems, the error."""
    for text in (*detected.notes, *detected.corrections):
        run.note(text)
    if detected.others:
        run.note(f"Skipped {counted(detected.others, 'model')} that cannot chat")
    if detected.error is not None:
        run.note(missing_models(detected), warns=True)


def failed(detected: Detected) -> str:
    if detected.refused:
        return "The API key was rejected" if _has_key(detected) else "An API key is required"
    return f"Could not list the models of {detected.draft.id}"


def _has_key(detected: Detected) -> bool:
    table = detected.draft.table
    return bool(table.get("api_key") or table.get("env") or table.get("custom_headers"))


def no_models(detected: Detected) -> ModelbayError | None:
    """The error of a provider whose models are unknown, with a hint for adding it anyway."""
    error = detected.error
    if error is None:
        return None
    if detected.refused:
        again = "pass the API key again with --api-key; make sure it is complete"
        error.hint = again if _has_key(detected) else "pass an API key with --api-key"
        return error
    later = error.retryable and isinstance(error, ProviderError)
    raised = error.hint if error.explained is None else error.advice  # an error of a reference is not explained yet
    known = "correct the reference" if isinstance(error, MissingCredential) else "check the URL"
    advice = raised or ("try again later" if later else known)
    error.message = missing_models(detected)
    error.hint = f"{advice}; to add the provider without its list, pass model IDs with --model ID"
    return error


def missing_models(detected: Detected) -> str:
    """Why no models are known."""
    if detected.error is None:
        return "The list has no chat models"
    start = failed(detected)
    message = detected.error.message
    return message if message.startswith(start) else f"{start}: {message}"


def connection_of(detected: Detected) -> Connection:
    """The state of the connection, judged by the request for the list of models."""
    error, found = detected.error, detected.discovery
    if error is None and found is not None:
        where = f" (GET {masked_url(found.url)})" if found.url else ""
        return Connection(True, f"{counted(len(detected.models), 'chat model')} listed{where}")
    if error is None:
        return Connection(None, "not tested")
    return Connection(
        False if detected.refused or isinstance(error, TransportError) else None,
        missing_models(detected),
        error,
    )
