"""A TOML file of an agent."""

from pathlib import Path

from modelbay.agents.findings import Layer
from modelbay.errors import ConfigError


def layer(file: Path, title: str) -> Layer:
    """
    Raises:
        ConfigError: there is no such file, or it does not parse.
    """
    import tomllib

    try:
        return Layer(str(file), tomllib.loads(file.read_bytes().decode("utf-8-sig")), file.absolute().parent)
    except FileNotFoundError:
        raise ConfigError(
            f"{title} has no configuration at {file}", hint="name the file that has it", file=str(file)
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}",
            hint=f"check that {file} is a file that you may read",
            file=str(file),
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file} does not parse: {error}", hint=f"fix {file} in an editor", file=str(file)) from None
