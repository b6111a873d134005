"""The fields and files of a request, from a JSON object or from a multipart form."""

from email.message import Message
from email.parser import BytesParser

from msgspec import Struct, field

from modelbay.conversation import Extra
from modelbay.protocols.shapes import whole_number


class FormFile(Struct, frozen=True):
    name: str
    data: bytes


class FormFields(Struct):
    values: Extra = field(default_factory=dict)
    files: dict[str, FormFile] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return value if isinstance(value, str) else default

    def number(self, name: str, default: int) -> int:
        """A number, which a form contains as text."""
        value = self.values.get(name)
        if isinstance(value, str) and (number := whole_number(value)) is not None:
            return number
        return value if type(value) is int else default


def is_form(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


def form_of(content_type: str, body: bytes) -> FormFields:
    """The fields of a multipart form. A field whose name ends in `[]` has several values; only the first is kept."""
    head = b"content-type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    form = FormFields()
    for part in BytesParser().parsebytes(head + body).walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            _add(form, name.removesuffix("[]"), part)
    return form


def _add(form: FormFields, name: str, part: "Message[str, str]") -> None:
    content = part.get_payload(decode=True)
    data = content if isinstance(content, bytes) else b""
    file = part.get_filename()
    if file is not None:
        form.files.setdefault(name, FormFile(file, data))
    else:
        form.values.setdefault(name, data.decode("utf-8", "replace").strip())
