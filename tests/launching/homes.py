"""Files that a user of each agent has: settings for another provider, which must not be used, keys and logins."""

from typing import Any

DEAD = "http://127.0.0.1:9"
"""An address where nothing answers. A launched agent must not call it."""
_FAMILY: dict[str, Any] = {
    "$schema": "https://opencode.ai/config.json",  # added to a file without it, with or without modelbay
    "model": "mine/m",
    "small_model": "mine/m",
    "permission": "allow",
    "agent": {"build": {"model": "mine/m"}, "code": {"model": "mine/m"}},
    "provider": {
        "mine": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{DEAD}/v1", "apiKey": "sk-user"},
            "models": {"m": {"name": "m"}},
        }
    },
}
_GOOSE = f"""\
GOOSE_PROVIDER: anthropic
GOOSE_MODEL: m
ANTHROPIC_HOST: {DEAD}
GOOGLE_HOST: {DEAD}
OPENAI_HOST: {DEAD}
OPENAI_BASE_PATH: x
extensions:
  developer:
    enabled: true
    type: builtin
    name: developer
    timeout: 300
    bundled: true
"""
_QWEN = {
    "$version": 4,
    "security": {"auth": {"selectedType": "openai", "apiKey": "sk-user", "baseUrl": f"{DEAD}/v1"}},
    "model": {"name": "mine"},
    "privacy": {"usageStatisticsEnabled": False},
}
_PI = {"mine": {"baseUrl": f"{DEAD}/v1", "api": "openai-completions", "apiKey": "sk-user", "models": [{"id": "m"}]}}
_DROID = {
    "model": "mine",
    "id": "custom:mine",
    "displayName": "mine",
    "provider": "generic-chat-completion-api",
    "baseUrl": f"{DEAD}/v1",
    "apiKey": "sk-user",
}
_CLINE = {"provider": "anthropic", "apiKey": "sk-user", "model": "m", "baseUrl": DEAD}

HOMES: dict[str, dict[str, str | dict[str, Any]]] = {
    "claude": {
        # no model: Claude Code renames old names of models in this file at its first start
        ".claude/settings.json": {
            "env": {
                "ANTHROPIC_BASE_URL": DEAD,
                "ANTHROPIC_API_KEY": "sk-user",
                "ANTHROPIC_MODEL": "other",
                "CLAUDE_CODE_USE_BEDROCK": "1",
            },
            "permissions": {"deny": ["WebFetch"]},
        },
        ".claude/CLAUDE.md": "Be brief.",
    },
    "codex": {
        ".codex/config.toml": 'model = "other"\nmodel_provider = "mine"\napproval_policy = "never"\n'
        'sandbox_mode = "danger-full-access"\n[model_providers.mine]\nname = "Mine"\n'
        f'base_url = "{DEAD}/v1"\nwire_api = "responses"\n',
        ".codex/auth.json": {"OPENAI_API_KEY": "sk-user"},
        ".codex/AGENTS.md": "Be brief.",
    },
    "opencode": {
        ".config/opencode/opencode.json": _FAMILY,
        ".config/opencode/AGENTS.md": "Be brief.",
        ".local/share/opencode/auth.json": {"mine": {"type": "api", "key": "sk-user"}},
    },
    "kilo": {
        ".config/kilo/kilo.json": _FAMILY,
        ".local/share/kilo/auth.json": {"mine": {"type": "api", "key": "sk-user"}},
    },
    "kimi": {
        ".kimi-code/config.toml": 'default_model = "mine/m"\n[providers.mine]\ntype = "openai"\n'
        f'base_url = "{DEAD}/v1"\napi_key = "sk-user"\n[models."mine/m"]\nprovider = "mine"\nmodel = "m"\n'
        "max_context_size = 128000\n",
    },
    "gemini": {
        ".gemini/settings.json": {
            "security": {"auth": {"selectedType": "oauth-personal"}},
            "model": {"name": "gemini-2.5-pro"},
            "privacy": {"usageStatisticsEnabled": False},
        },
        ".gemini/.env": f"GEMINI_API_KEY=sk-user\nGOOGLE_GEMINI_BASE_URL={DEAD}\nGOOGLE_GENAI_USE_VERTEXAI=true\n",
        ".gemini/GEMINI.md": "Be brief.",
        ".gemini/oauth_creds.json": {"refresh_token": "user"},
    },
    "qwen": {
        ".qwen/settings.json": _QWEN,
        ".qwen/QWEN.md": "Be brief.",
        ".qwen/oauth_creds.json": {"refresh_token": "user"},
    },
    "pi": {
        ".pi/agent/settings.json": {"defaultProvider": "mine", "defaultModel": "m", "enabledModels": ["mine/*"]},
        ".pi/agent/models.json": {"providers": _PI},
        ".pi/agent/auth.json": {"mine": {"type": "api_key", "key": "sk-user"}},
        ".pi/agent/AGENTS.md": "Be brief.",
    },
    "crush": {
        ".config/crush/crush.json": {
            "providers": {"mine": {"type": "openai-compat", "base_url": f"{DEAD}/v1", "models": [{"id": "m"}]}},
        },
        ".local/share/crush/crush.json": {"models": {"large": {"provider": "mine", "model": "m"}}},
    },
    "goose": {
        ".config/goose/config.yaml": _GOOSE,
        ".config/goose/secrets.yaml": "ANTHROPIC_API_KEY: sk-user\nGOOGLE_API_KEY: sk-user\nOPENAI_API_KEY: sk-user\n",
    },
    "aider": {
        ".aider.conf.yml": f"model: openai/mine\nweak-model: openai/mine\nopenai-api-base: {DEAD}/v1\n"
        "openai-api-key: sk-user\n",
        ".env": f"OPENAI_API_KEY=sk-user\nOPENAI_API_BASE={DEAD}\nANTHROPIC_API_KEY=sk-user\n"
        f"ANTHROPIC_API_BASE={DEAD}\nGEMINI_API_KEY=sk-user\nGEMINI_API_BASE={DEAD}\n",
        ".aider/analytics.json": {"uuid": "u", "permanently_disable": True, "asked_opt_in": True},
    },
    "continue": {
        ".continue/config.yaml": "name: mine\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: m\n    provider: openai\n"
        f"    model: m\n    apiBase: {DEAD}/v1\n    apiKey: sk-user\n",
        ".continue/permissions.yaml": "allow: []\nask: []\nexclude: []\n",
    },
    "cline": {
        ".cline/data/settings/providers.json": {
            "version": 1,
            "lastUsedProvider": "anthropic",
            "modes": {},
            "providers": {
                "anthropic": {"settings": _CLINE, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
            },
        },
        ".cline/data/settings/global-settings.json": {},
    },
    "copilot": {
        ".copilot/settings.json": {"model": "gpt-5.4"},
        ".copilot/copilot-instructions.md": "Be brief.",
    },
    "droid": {
        ".factory/settings.json": {"sessionDefaultSettings": {"model": "custom:mine"}, "customModels": [_DROID]},
        ".factory/AGENTS.md": "Be brief.",
    },
    "openhands": {".openhands/mcp.json": {"mcpServers": {}}},
    "grok": {
        ".grok/user-settings.json": {"apiKey": "sk-user", "baseURL": f"{DEAD}/v1", "defaultModel": "mine"},
    },
    "omp": {
        ".omp/agent/config.yml": "modelRoles:\n  default: mine/m\n  smol: mine/m\n",
        ".omp/agent/models.yml": f"providers:\n  mine:\n    baseUrl: {DEAD}/v1\n    apiKey: sk-user\n"
        "    api: openai-completions\n    models:\n      - id: m\n",
        ".omp/agent/AGENTS.md": "Be brief.",
    },
    "mini": {
        ".config/mini-swe-agent/.env": f"MSWEA_MODEL_NAME=openai/mine\nOPENAI_API_KEY=sk-user\nOPENAI_API_BASE={DEAD}\n"
        f"ANTHROPIC_API_KEY=sk-user\nANTHROPIC_API_BASE={DEAD}\nGEMINI_API_KEY=sk-user\nGEMINI_API_BASE={DEAD}\n",
    },
    "gptme": {
        ".config/gptme/config.toml": f'[env]\nMODEL = "local/mine"\nOPENAI_API_KEY = "sk-user"\nOPENAI_BASE_URL = "{DEAD}"\n',
    },
}
"""By agent and path below the user's home."""
