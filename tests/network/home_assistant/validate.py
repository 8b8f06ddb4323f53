"""Checks a discovery message and the messages that it points to with Home Assistant's own code.

Standard input is one JSON object: `topic` and `device` (the discovery message), `migrate` (the message for entities of earlier
versions), and the messages `state` and `event` of the camera with their topics. Prints one JSON object: the version of Home
Assistant, and what it makes of each component, with the value that its template gives.
"""

import asyncio
import importlib
import json
import logging
import sys
import tempfile

from homeassistant.components.mqtt import discovery, schemas
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.util.json import json_loads_object

logging.disable(logging.CRITICAL)

PAYLOAD = discovery.MQTTDiscoveryPayload


def component(config, device, messages):
    platform = config.pop("platform")
    given = set(config)
    config = PAYLOAD(config)
    config["device"] = dict(device["device"])
    config["origin"] = device["origin"]
    discovery._merge_common_device_options(config, device)
    schema = importlib.import_module(f"homeassistant.components.mqtt.{platform}").DISCOVERY_SCHEMA
    validated = schema(config)
    message = messages.get(validated.get("state_topic"))
    template = validated.get("value_template")
    value = None
    if template and message:
        variables = {"value": message, "value_json": json.loads(message)}
        value = template.async_render(variables, parse_result=False)
    return {
        "platform": platform,
        # What the schema does not know is left out.
        "ignored": sorted(given - set(validated)),
        "unique_id": validated["unique_id"],
        "default_entity_id": validated["default_entity_id"],
        "availability_topic": validated.get("availability_topic"),
        "event_types": validated.get("event_types"),
        "value": value,
    }


async def validate(given, folder):
    # Templates belong to a running Home Assistant.
    hass = HomeAssistant(folder)
    matched = discovery.TOPIC_MATCHER.match(given["topic"].removeprefix("homeassistant/"))
    assert matched and matched.group("component") == "device", given["topic"]
    payload = PAYLOAD(json_loads_object(given["device"]))
    assert not discovery._async_process_discovery_migration(payload)
    discovery._replace_all_abbreviations(payload)
    device = schemas.DEVICE_DISCOVERY_SCHEMA(payload)
    migration = PAYLOAD(json_loads_object(given["migrate"]))
    assert discovery._async_process_discovery_migration(migration)
    messages = {given["state_topic"]: given["state"], given["event_topic"]: given["event"]}
    components = {
        name: component(config, device, messages) for name, config in device["components"].items()
    }
    await hass.async_stop(force=True)
    return {"version": __version__, "components": components}


with tempfile.TemporaryDirectory() as folder:
    json.dump(asyncio.run(validate(json.load(sys.stdin), folder)), sys.stdout)
