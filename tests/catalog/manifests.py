"""The examples of the guide for providers, unchanged."""

import json
from typing import Any

MANIFEST = """{
	"name": "Sample Provider",
	"website": "https://providerwebsite.com",
	"baseUrl": "https://providerwebsite.com/v1",
	"models_data_source": "endpoint"
}"""
EXTENDED = """{
	"models": {
		"provider/model-name-v1": {
			"id": "provider/model-name-v1",
			"name": "Model Name V1",
			"attachment": false,
			"reasoning": true,
			"temperature": true,
			"tool_call": true,
			"release_date": "2025-08-21",
			"last_updated": "2025-08-21",
			"modalities": { "input": ["text", "image"], "output": ["text"] },
			"open_weights": false,
			"cost": { "input": 0.5, "output": 1.5 },
			"limit": { "context": 128000, "output": 4096 }
		},
		"provider/another-model-v2": {
			"id": "provider/another-model-v2",
			"name": "Another Model V2"
		}
	}
}"""
EMBEDDED = """[
	{
		"name": "Synthetic",
		"website": "https://providerwebsite.com",
		"baseUrl": "https://providerwebsite.com/v1",
		"models_data_source": "embedded"
	},
	{
		"models": {
			"provider/model-name-v1": {
				"id": "provider/model-name-v1",
				"name": "Model Name V1",
				"attachment": false,
				"reasoning": true,
				"temperature": true,
				"tool_call": true,
				"release_date": "2025-08-21",
				"last_updated": "2025-08-21",
				"modalities": { "input": ["text", "image"], "output": ["text"] },
				"open_weights": false,
				"cost": { "input": 0.5, "output": 1.5 },
				"limit": { "context": 128000, "output": 4096 }
			},
			"provider/another-model-v2": {
				"id": "provider/another-model-v2",
				"name": "Another Model V2"
			}
		}
	}
]"""


def manifest(**changed: Any) -> dict[str, Any]:
    """The example's manifest with some fields changed; None removes a field."""
    return _with(json.loads(MANIFEST), changed)


def model(**changed: Any) -> dict[str, Any]:
    """The example's first model with some fields changed."""
    return _with(json.loads(EXTENDED)["models"]["provider/model-name-v1"], {"id": "m", **changed})


def embedded(models: Any = None, **changed: Any) -> list[Any]:
    """The example's embedded array with some fields of its manifest changed."""
    table, listed = json.loads(EMBEDDED)
    return [_with(table, changed), listed if models is None else {"models": models}]


def _with(table: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**table, **changed}.items() if value is not None}
