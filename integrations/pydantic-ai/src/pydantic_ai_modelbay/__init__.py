"""The models of modelbay in Pydantic AI: `Agent(ModelbayModel("claude"))`."""

from pydantic_ai_modelbay.model import ModelbayModel, ModelbayModelSettings

__all__ = ["ModelbayModel", "ModelbayModelSettings"]
