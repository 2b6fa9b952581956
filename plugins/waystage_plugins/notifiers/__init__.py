"""Ways to reach people."""

from waystage_plugins.notifiers.log import LogNotifier
from waystage_plugins.notifiers.mail import MailNotifier
from waystage_plugins.notifiers.webhook import WebhookNotifier

NOTIFIERS = (LogNotifier, MailNotifier, WebhookNotifier)

__all__ = ["NOTIFIERS", "LogNotifier", "MailNotifier", "WebhookNotifier"]
