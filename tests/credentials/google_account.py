"""Google credentials made up for a test: a service account's key file, and gcloud's file of a person."""

import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def service_account(folder: Path, token_uri: str) -> Path:
    """A service account's JSON whose tokens come from `token_uri`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = folder / "service-account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "proj",
                "private_key_id": "k1",
                "private_key": pem,
                "client_email": "tester@proj.iam.gserviceaccount.com",
                "token_uri": token_uri,
            }
        )
    )
    return path


def user_account(folder: Path, token_uri: str) -> Path:
    """The file that `gcloud auth application-default login` writes."""
    path = folder / "application_default_credentials.json"
    path.write_text(
        json.dumps(
            {
                "type": "authorized_user",
                "client_id": "client",
                "client_secret": "not so secret",
                "refresh_token": "refresh",
                "token_uri": token_uri,
            }
        )
    )
    return path
