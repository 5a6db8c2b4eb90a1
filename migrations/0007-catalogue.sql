-- The catalogue: what a shop sells, folded from its documents.

-- One row per variant; variant_id '' is the product itself, and the row that
-- says which document of it is the newest. A tombstone keeps its version, so
-- that an older document brings nothing back.
CREATE TABLE product (
    workspace_id      uuid NOT NULL,
    source_id         uuid NOT NULL,
    product_id        text NOT NULL,
    variant_id        text NOT NULL,
    inventory_item_id text NOT NULL, -- the shop's; "product/variant" where it has none
    name              text,
    variant_name      text,
    category          text[] NOT NULL DEFAULT '{}', -- a path, the widest first
    brand             text,
    url               text,
    image_url         text,
    substitutes       text[] NOT NULL DEFAULT '{}', -- product ids, as declared
    currency          text,
    sku               text,
    price_minor       bigint,
    compare_at_minor  bigint,
    own_stock         bigint,                      -- what the document says
    stock             jsonb NOT NULL DEFAULT '{}', -- per location, of inventory_item
    stock_total       bigint,                      -- whichever of the two is newer; NULL: not counted
    stock_at          timestamptz,
    version_at        timestamptz NOT NULL, -- the shop's own time of change
    version_hash      uuid NOT NULL,        -- of the document: tells two of one instant apart
    first_seen_at     timestamptz NOT NULL,
    deleted_at        timestamptz,
    PRIMARY KEY (workspace_id, source_id, product_id, variant_id)
);
CREATE INDEX product_item ON product (workspace_id, source_id, inventory_item_id);
CREATE INDEX product_sku ON product (workspace_id, sku) WHERE sku IS NOT NULL;

-- Stock levels by the shop's inventory item, newest per location: they come
-- before the product as well as after it.
CREATE TABLE inventory_item (
    workspace_id      uuid NOT NULL,
    source_id         uuid NOT NULL,
    inventory_item_id text NOT NULL,
    levels            jsonb NOT NULL DEFAULT '{}', -- {"<location>": {"stock": 5, "at": <ms>}}
    newest_at         timestamptz, -- NULL: no level yet
    PRIMARY KEY (workspace_id, source_id, inventory_item_id)
);
