#!/usr/bin/python3
"""libtorrent as a client of PCP: listens, asks its default router for mappings of UDP and TCP, renews them, and deletes them when it ends.

  torrent.py ADDRESS:PORT     says "mapped PROTOCOL EXTERNAL-PORT" for each mapping that it is given, "failed TEXT" for each that it is
                              not, and "ended" when a line, or the end, of its input has ended it"""
import select
import sys

import libtorrent


def say(alert):
    if isinstance(alert, libtorrent.portmap_alert):
        print("mapped", str(alert.map_protocol).split(".")[-1], alert.external_port, flush=True)
    elif isinstance(alert, libtorrent.portmap_error_alert):
        print("failed", alert.message(), flush=True)


def main():
    session = libtorrent.session({
        "listen_interfaces": sys.argv[1], "enable_natpmp": True, "enable_upnp": False, "enable_dht": False, "enable_lsd": False,
        "alert_mask": libtorrent.alert.category_t.port_mapping_notification | libtorrent.alert.category_t.error_notification})
    while not select.select([sys.stdin], [], [], 0)[0]:
        session.wait_for_alert(100)
        for alert in session.pop_alerts():
            say(alert)
    del session     # waits until the deletions are out
    print("ended", flush=True)


if __name__ == "__main__":
    main()
