-- Interest: what each customer has shown for each product and variant.

-- Keyed from the product's side, so that the interested of a product are a range.
-- Rows stay under the origin of their facts for ever; a merge moves none. Of what
-- is indexed only bought_at changes, so that all updates but an order's stay HOT.
CREATE TABLE interest (
    workspace_id         uuid NOT NULL,
    source_id            uuid NOT NULL, -- that told of it; what is bought: the shop
    product_id           text NOT NULL,
    variant_id           text NOT NULL, -- '' where the fact named none
    origin_id            uuid NOT NULL,
    viewed_at            timestamptz,   -- last
    view_count           bigint NOT NULL,
    out_of_stock_seen_at timestamptz,
    price_seen_at        timestamptz,   -- of the look that told the price
    price_minor          bigint,
    currency             text,
    carted_at            timestamptz,
    wished_at            timestamptz,
    unwished_at          timestamptz,
    bought_at            timestamptz,   -- by an order that counts
    PRIMARY KEY (workspace_id, source_id, product_id, variant_id, origin_id)
) WITH (fillfactor = 80);
-- From the customer's side: all, or the few that were bought. Led by the origin
-- alone, as identity_profile is by the profile.
CREATE INDEX interest_origin ON interest (origin_id, bought_at);

-- Led by the item, for the reason that identity_profile is led by the profile: one
-- that began as the primary key does was taken in its place, on a table that the
-- planner believed empty, and a whole shop read for each product.
DROP INDEX product_item;
CREATE INDEX product_item ON product (inventory_item_id, source_id, workspace_id);
