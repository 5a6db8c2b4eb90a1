-- Facts about the world, not about a customer: what the catalogue's differences
-- say, and what was posted.

-- The id is the hash of the cause and the whole key, so that a repeat meets it
-- whatever it claims of its time; like receipts, and unlike what is partitioned,
-- rows therefore fall one by one when they are old.
CREATE TABLE universal_event (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    type         text NOT NULL, -- product.back_in_stock, weather.changed, universal.<name>
    source_id    uuid NOT NULL, -- the shop, or in whose name it was posted
    posted_id    text,          -- what its poster calls it; NULL: the catalogue's
    product_id   text,
    variant_id   text,          -- '': the product has no variants
    sku          text,          -- joins the same thing in another shop
    occurred_at  timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    expires_at   timestamptz,
    selector     jsonb NOT NULL DEFAULT '{}', -- whom it concerns, as posted
    properties   jsonb NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX universal_event_time ON universal_event (workspace_id, occurred_at, id);
CREATE INDEX universal_event_type ON universal_event (workspace_id, type, occurred_at, id);
CREATE INDEX universal_event_product ON universal_event (workspace_id, product_id, occurred_at, id)
    WHERE product_id IS NOT NULL;
CREATE INDEX universal_event_recorded ON universal_event USING brin (recorded_at);

-- What was last told of a variant, or known when it was first seen. Differences
-- are those from this, not from the document before.
ALTER TABLE product
    ADD COLUMN told_stock            bigint, -- over 0: in stock; NULL: never counted
    ADD COLUMN told_from_stock       bigint, -- before that; NULL: it was not told, only learnt
    ADD COLUMN stock_learnt_at       timestamptz, -- when that was noted
    ADD COLUMN back_told_at          timestamptz,
    ADD COLUMN out_told_at           timestamptz,
    ADD COLUMN told_price_minor      bigint,
    ADD COLUMN told_currency         text,
    ADD COLUMN told_from_price_minor bigint,
    ADD COLUMN price_learnt_at       timestamptz,
    ADD COLUMN dropped_told_at       timestamptz,
    ADD COLUMN raised_told_at        timestamptz;

-- Led by the item: an index that begins like the primary key tempts the planner, on
-- a table it believes empty, to read all of a shop by it for each product.
DROP INDEX product_item;
CREATE INDEX product_item ON product (inventory_item_id, source_id, workspace_id);

-- Who waits for something today is not to wait once more.
UPDATE product AS p
SET told_stock = p.stock_total, told_price_minor = p.price_minor, told_currency = p.currency
WHERE p.deleted_at IS NULL
  AND (p.variant_id > '' OR NOT EXISTS (
      SELECT 1 FROM product v
      WHERE v.workspace_id = p.workspace_id AND v.source_id = p.source_id
        AND v.product_id = p.product_id AND v.variant_id > '' AND v.deleted_at IS NULL));

-- When a difference is worth telling.
ALTER TABLE workspace
    ADD COLUMN back_in_stock_min     bigint NOT NULL DEFAULT 1,
    ADD COLUMN price_change_percent  bigint NOT NULL DEFAULT 100, -- hundredths of a per cent
    ADD COLUMN price_change_amount   bigint NOT NULL DEFAULT 0,   -- hundredths of a major unit
    ADD COLUMN catalogue_quiet_ms    bigint NOT NULL DEFAULT 3600000;

-- Whom a place concerns. Profiles that say nothing of where they are have no
-- entry, and an update that leaves traits alone stays HOT; one that changes any of
-- them is not. By pattern, so that a postal code is found by its first characters
-- whatever the database's collation.
CREATE INDEX profile_region ON profile (workspace_id, (traits ->> 'region') text_pattern_ops, id)
    WHERE traits ? 'region';
CREATE INDEX profile_postal_code
    ON profile (workspace_id, (traits ->> 'postal_code') text_pattern_ops, id)
    WHERE traits ? 'postal_code';
