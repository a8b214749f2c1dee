"""Python reads this file where PYTHONPATH leads to it: a test's Airflow reaches `fake_discord` as discord.com.

No setting leads there, as no setting may: the look-up of names and the authority of certificates are replaced.
"""

import os
import ssl

from lakehouse.alerts import address, webhook

address.public_addresses = lambda host, port: ["127.0.0.1"]
webhook.tls = lambda: ssl.create_default_context(cafile=os.environ["DISCORD_CERTIFICATE"])
