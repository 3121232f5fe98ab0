"""What comes in by hooks, and what goes out: deliveries, the inbox, alerts; notices, comments, links for approval."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    _incoming()
    _outgoing()


def _incoming() -> None:
    op.create_table(
        "hook_delivery",
        sa.Column("hook", sa.String(64), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("event", sa.String(80), nullable=False),
        sa.Column("signals", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hook", "identity", name="pk_hook_delivery"),
    )
    op.create_index("ix_hook_delivery_at", "hook_delivery", ["at"])
    op.create_table(
        "hook_inbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("hook", sa.String(64), nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(200)),
        sa.Column("lease", sa.Float()),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_hook_inbox"),
    )
    op.create_index("ix_hook_inbox_due", "hook_inbox", ["due"])
    op.create_table(
        "alert",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("hook", sa.String(64), nullable=False),
        sa.Column("series", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("began", sa.Float()),
        sa.Column("ended", sa.Float()),
        sa.Column("job", sa.String(80)),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.Column("closing", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_alert"),
    )
    op.create_index("ix_alert_series", "alert", ["series"])
    op.create_index("ix_alert_closing", "alert", ["closing"])
    op.create_index("ix_alert_job", "alert", ["job"])


def _outgoing() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("job", sa.String(80), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("ended", sa.Float()),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(200)),
        sa.Column("lease", sa.Float()),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sa.UniqueConstraint("target", "job", "event", "about", name="uq_notice_once"),
    )
    op.create_index("ix_notice_due", "notice", ["state", "due"])
    op.create_table(
        "comment",
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("thread", sa.String(64), nullable=False),
        sa.Column("job", sa.String(80), nullable=False),
        sa.Column("external", sa.String(200)),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("target", "thread", name="pk_comment"),
    )
    op.create_table(
        "cursor",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursor"),
    )
    op.create_table(
        "link",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("job", sa.String(80), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("made", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.Column("used", sa.Float()),
        sa.Column("decision", sa.String(16)),
        sa.PrimaryKeyConstraint("hash", name="pk_link"),
    )
    op.create_index("ix_link_job", "link", ["job", "fingerprint"])
    op.create_index("ix_link_expires", "link", ["expires"])
