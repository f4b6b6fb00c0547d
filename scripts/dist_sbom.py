#!/usr/bin/env python3
"""Prints a CycloneDX file with what differs from run to run taken out: serial number and instant.

Usage: SOURCE_DATE_EPOCH=SECONDS scripts/dist_sbom.py FILE

The instant becomes that of the commit, the serial number a hash of everything else: the same content, the same number.
"""

import datetime
import json
import os
import sys
import uuid


def main(path):
    with open(path, encoding="utf-8") as file:
        bom = json.load(file)
    if bom.get("bomFormat") != "CycloneDX" or not bom.get("components"):
        sys.exit(f"dist_sbom: {path} is no CycloneDX file with components: run `make sbom`")
    bom.pop("serialNumber", None)
    at = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    bom.setdefault("metadata", {})["timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    content = json.dumps(bom, sort_keys=True)
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}"
    print(json.dumps(bom, indent=1, sort_keys=True))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
