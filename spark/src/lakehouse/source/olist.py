"""The nine tables of the public Olist data set: files, columns and keys as the source spells them."""

from __future__ import annotations

from dataclasses import dataclass

TEXT, INTEGER, MONEY, FLOAT, TIME = "text", "integer", "numeric(12,2)", "double precision", "timestamp"
STAMP = "updated_at"


@dataclass(frozen=True)
class Table:
    """One source table: `columns` are name → Postgres type in the file's order; without a `key` rows may repeat.

    `last_line`: of a file that is published without a line break at its end.
    """

    name: str
    file: str
    columns: dict[str, str]
    key: tuple[str, ...] = ()
    last_line: str = ""

    @property
    def exact(self) -> tuple[str, ...]:
        """The columns whose type would round what a file says."""
        return tuple(name for name, kind in self.columns.items() if kind in (INTEGER, MONEY))


def _table(
    name: str, key: str, columns: dict[str, str], file: str = "olist_{}_dataset.csv", last_line: str = ""
) -> Table:
    return Table(name, file.format(name), columns, tuple(key.split()), last_line)


# Order times are wall-clock times in Brazil without a zone: `timestamp`, never `timestamptz`.
_TABLES = (
    _table(
        "customers",
        "customer_id",
        {
            "customer_id": TEXT,
            "customer_unique_id": TEXT,
            "customer_zip_code_prefix": TEXT,
            "customer_city": TEXT,
            "customer_state": TEXT,
        },
    ),
    _table(
        "geolocation",
        "",
        {
            "geolocation_zip_code_prefix": TEXT,
            "geolocation_lat": FLOAT,
            "geolocation_lng": FLOAT,
            "geolocation_city": TEXT,
            "geolocation_state": TEXT,
        },
    ),
    _table(
        "order_items",
        "order_id order_item_id",
        {
            "order_id": TEXT,
            "order_item_id": INTEGER,
            "product_id": TEXT,
            "seller_id": TEXT,
            "shipping_limit_date": TIME,
            "price": MONEY,
            "freight_value": MONEY,
        },
    ),
    _table(
        "order_payments",
        "order_id payment_sequential",
        {
            "order_id": TEXT,
            "payment_sequential": INTEGER,
            "payment_type": TEXT,
            "payment_installments": INTEGER,
            "payment_value": MONEY,
        },
    ),
    _table(
        "order_reviews",
        "review_id order_id",
        {
            "review_id": TEXT,
            "order_id": TEXT,
            "review_score": INTEGER,
            "review_comment_title": TEXT,
            "review_comment_message": TEXT,
            "review_creation_date": TIME,
            "review_answer_timestamp": TIME,
        },
    ),
    _table(
        "orders",
        "order_id",
        {
            "order_id": TEXT,
            "customer_id": TEXT,
            "order_status": TEXT,
            "order_purchase_timestamp": TIME,
            "order_approved_at": TIME,
            "order_delivered_carrier_date": TIME,
            "order_delivered_customer_date": TIME,
            "order_estimated_delivery_date": TIME,
        },
    ),
    _table(
        "products",
        "product_id",
        {
            "product_id": TEXT,
            "product_category_name": TEXT,
            "product_name_lenght": INTEGER,
            "product_description_lenght": INTEGER,
            "product_photos_qty": INTEGER,
            "product_weight_g": INTEGER,
            "product_length_cm": INTEGER,
            "product_height_cm": INTEGER,
            "product_width_cm": INTEGER,
        },
    ),
    _table(
        "sellers",
        "seller_id",
        {"seller_id": TEXT, "seller_zip_code_prefix": TEXT, "seller_city": TEXT, "seller_state": TEXT},
    ),
    _table(
        "product_category_name_translation",
        "product_category_name",
        {"product_category_name": TEXT, "product_category_name_english": TEXT},
        "product_category_name_translation.csv",
        "seguros_e_servicos,security_and_services",
    ),
)
TABLES = {table.name: table for table in _TABLES}
