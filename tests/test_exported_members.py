"""The public surface is what `__all__` says: sorted, all there, and cheap to import."""

import subprocess
import sys

import modelbay

HEAVY = ("aiohttp", "rich", "textual", "keyring", "google.auth", "uvicorn", "starlette", "genai_prices", "yaml")


def test_every_exported_name_is_there_and_they_are_sorted() -> None:
    assert modelbay.__all__ == sorted(modelbay.__all__)
    for name in modelbay.__all__:
        assert getattr(modelbay, name) is not None


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    assert not hasattr(modelbay, "Gateway")


def test_importing_the_hub_imports_nothing_heavy() -> None:
    code = f"import sys; from modelbay import Hub; print([m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr
