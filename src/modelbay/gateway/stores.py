"""TEMPORARY."""

from modelbay.config.schema import GatewaySettings
from modelbay.conversation import Conversation
from modelbay.events import Reply
from modelbay.gateway.client_request import ClientRequest
from modelbay.target import Target


class Stores:
    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings

    async def is_foreign(self, request: ClientRequest, target: Target) -> bool:
        return False

    async def restored(self, request: ClientRequest, target: Target, conversation: Conversation) -> Conversation:
        return conversation

    async def keep(
        self, request: ClientRequest, target: Target, conversation: Conversation | None, reply: Reply
    ) -> None:
        pass
