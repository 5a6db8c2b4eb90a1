'use strict';

/*
 * What people write today: a Shopify webhook endpoint with Express and
 * node-postgres. The signature is verified over the raw body, a repeated
 * delivery has no second effect, and each webhook is one transaction that
 * writes the same rows as Shopbell: receipt, identities, profile, order,
 * interaction, transition when the lifecycle stage changes, raw webhook.
 *
 * Written as a careful engineer would: parameters everywhere, one statement
 * for all identities, a pool of 20, the answer after the commit. It leaves out
 * what Shopbell does besides (merges, refunds, late and out of order events,
 * subscriptions), which is in its favour.
 *
 * PGHOST, PGUSER, PGDATABASE, PORT, WEBHOOK_SECRET and WORKSPACE_ID come from
 * the environment.
 */

const crypto = require('node:crypto');
const express = require('express');
const { Pool } = require('pg');

const SECRET = process.env.WEBHOOK_SECRET;
const WORKSPACE = process.env.WORKSPACE_ID;
const NO_SOURCE = '00000000-0000-0000-0000-000000000000';
const TRUST_SIGNED = 3;
const LAPSE_MS = 60 * 24 * 3600 * 1000;
const ATTEMPTS_MAX = 5;
const CONSENT = JSON.stringify({
  email: 'never', sms: 'never', push: 'never', tracking: 'never', sale: 'never',
});

const pool = new Pool({ max: 20 });
const app = express();

function signatureIsValid(header, body) {
  const expected = crypto.createHmac('sha256', SECRET).update(body).digest();
  const given = Buffer.from(header || '', 'base64');
  return given.length === expected.length && crypto.timingSafeEqual(given, expected);
}

function eventId(source, webhookId) {
  const hex = crypto.createHash('sha256').update(`${source}/${webhookId}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`,
    hex.slice(20, 32)].join('-');
}

const minor = (text) => Math.round(Number(text) * 100);

function identitiesOf(order, source) {
  const customer = order.customer || {};
  const list = [
    ['customer_id', source, customer.id && String(customer.id)],
    ['email', NO_SOURCE, (order.email || customer.email || '').trim().toLowerCase()],
    ['cart_token', source, order.cart_token],
    ['cart_token', source, order.checkout_token],
  ];
  return list.filter(([, , value]) => value);
}

function propertiesOf(order) {
  return {
    order_id: String(order.id), number: order.name, status: order.financial_status,
    total: Number(order.total_price), subtotal: Number(order.subtotal_price),
    discount: Number(order.total_discounts), tax: Number(order.total_tax),
    currency: order.currency, channel: order.source_name,
    products: order.line_items.map((line) => ({
      product_id: String(line.product_id), variant_id: String(line.variant_id), sku: line.sku,
      name: line.title, brand: line.vendor, quantity: line.quantity, price: Number(line.price),
    })),
  };
}

function traitsOf(order) {
  const customer = order.customer || {};
  const address = customer.default_address || order.billing_address || {};
  const traits = {
    first_name: customer.first_name, last_name: customer.last_name, locale: order.customer_locale,
    country: address.country_code, city: address.city, postal_code: address.zip,
  };
  return Object.fromEntries(Object.entries(traits).filter(([, value]) => value));
}

const lifecycleOf = (ordersCount) => (ordersCount > 1 ? 'active' : 'new');

async function findProfile(client, identities) {
  const values = [WORKSPACE];
  const places = identities.map(([kind, source, value]) => {
    values.push(kind, source, value);
    return `($${values.length - 2}, $${values.length - 1}::uuid, $${values.length})`;
  });
  const found = await client.query(
    `SELECT p.* FROM profile p WHERE p.workspace_id = $1 AND p.id =
       (SELECT profile_id FROM identity WHERE workspace_id = $1
         AND (kind, source_id, value) IN (${places.join(', ')}) LIMIT 1)
     FOR UPDATE`, values);
  return found.rows[0];
}

async function insertIdentities(client, identities, profileId, at) {
  const [kinds, sources, texts] = [0, 1, 2].map((i) => identities.map((identity) => identity[i]));
  const inserted = await client.query(
    `INSERT INTO identity (workspace_id, kind, source_id, value, profile_id, origin_id, trust,
                           first_seen_at)
     SELECT $1, u.kind, u.source_id, u.value, $2, $2, $3, $4
       FROM unnest($5::text[], $6::uuid[], $7::text[]) AS u (kind, source_id, value)
     ON CONFLICT DO NOTHING`,
    [WORKSPACE, profileId, TRUST_SIGNED, at, kinds, sources, texts]);
  return inserted.rowCount;
}

async function insertProfile(client, id, order, state, at, now) {
  await client.query(
    `INSERT INTO profile (workspace_id, id, sequence, created_at, updated_at, decided_at,
                          first_seen_at, last_seen_at, last_seen_day, identified, email, lifecycle,
                          lifecycle_since, due_at, orders_count, orders_gross_minor,
                          orders_largest_minor, orders_first_at, orders_last_at, traits, consent,
                          state)
     VALUES ($1, $2, 1, $3, $3, $3, $4, $4, $4::timestamptz::date, true, $5, 'new', $4, $6, 1, $7,
             $7, $4, $4, $8, $9, $10)`,
    [WORKSPACE, id, now, at, order.email, new Date(at.getTime() + LAPSE_MS),
      minor(order.total_price), JSON.stringify(traitsOf(order)), CONSENT, state]);
}

async function updateProfile(client, profile, order, state, at, now) {
  const stage = lifecycleOf(Number(profile.orders_count) + 1);
  await client.query(
    `UPDATE profile SET sequence = sequence + 1, updated_at = $3, decided_at = $3,
            first_seen_at = LEAST(first_seen_at, $4), last_seen_at = GREATEST(last_seen_at, $4),
            last_seen_day = GREATEST(last_seen_at, $4)::date, email = $5, lifecycle = $6,
            lifecycle_since = CASE WHEN lifecycle = $6 THEN lifecycle_since ELSE $4 END,
            orders_count = orders_count + 1, orders_gross_minor = orders_gross_minor + $7,
            orders_largest_minor = GREATEST(orders_largest_minor, $7),
            orders_first_at = LEAST(orders_first_at, $4),
            orders_last_at = GREATEST(orders_last_at, $4), traits = $8, state = $9
      WHERE workspace_id = $1 AND id = $2`,
    [WORKSPACE, profile.id, now, at, order.email, stage, minor(order.total_price),
      JSON.stringify(traitsOf(order)), state]);
}

async function insertOrder(client, source, order, profileId, properties, at) {
  await client.query(
    `INSERT INTO orders (workspace_id, source_id, order_ref, origin_id, profile_id, has_body,
                         version_at, rank, counts, placed_at, number, status, currency,
                         total_minor, refunded_minor, deleted, completed, counted,
                         counted_foreign, counted_gross_minor, counted_refunded_minor, documents,
                         body)
     VALUES ($1, $2, $3, $4, $4, true, $5, $6, true, $7, $8, $6, $9, $10, 0, false, true, true,
             false, $10, 0, $11, $12)
     ON CONFLICT (workspace_id, source_id, order_ref) DO UPDATE
        SET version_at = EXCLUDED.version_at, rank = EXCLUDED.rank, status = EXCLUDED.status,
            total_minor = EXCLUDED.total_minor, body = EXCLUDED.body`,
    [WORKSPACE, source, String(order.id), profileId, new Date(order.updated_at),
      order.financial_status, at, order.name, order.currency, minor(order.total_price),
      crypto.createHash('md5').update(properties).digest(), properties]);
}

async function insertInteraction(client, source, id, order, profileId, properties, context, at,
  now) {
  await client.query(
    `INSERT INTO interaction (workspace_id, origin_id, occurred_at, id, received_at, source_id,
                              type, trust, currency, amount_minor, order_ref, facts, properties,
                              context)
     VALUES ($1, $2, $3, $4, $5, $6, 'order.completed', $7, $8, $9, $10, $11, $12, $13)
     ON CONFLICT DO NOTHING`,
    [WORKSPACE, profileId, at, id, now, source, TRUST_SIGNED, order.currency,
      minor(order.total_price), String(order.id), Buffer.from(JSON.stringify(traitsOf(order))),
      properties, context]);
}

async function insertTransition(client, profileId, from, to, id, at, now) {
  await client.query(
    `INSERT INTO transition (workspace_id, occurred_at, id, profile_id, rule, from_value, to_value,
                             cause, event_id, decided_at)
     VALUES ($1, $2, $3, $4, 'lifecycle', $5, $6, 'event', $7, $8) ON CONFLICT DO NOTHING`,
    [WORKSPACE, at, crypto.randomUUID(), profileId, from, to, id, now]);
}

async function insertWebhook(client, source, request, webhookId, now) {
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => name.startsWith('x-shopify-')));
  await client.query(
    `INSERT INTO webhook (workspace_id, received_at, id, source_id, topic, dedup_key, headers, body)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [WORKSPACE, now, crypto.randomUUID(), source, request.get('x-shopify-topic'), webhookId,
      JSON.stringify(headers), request.body]);
}

/* In an open transaction. Returns what became of it: 'again' when another
 * webhook made this customer's profile in the meantime. */
async function apply(client, source, request, order) {
  const now = new Date();
  const webhookId = request.get('x-shopify-webhook-id');
  const id = eventId(source, webhookId);
  const receipt = await client.query(
    `INSERT INTO receipt (workspace_id, event_id, source_id, received_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT DO NOTHING`, [WORKSPACE, id, source, now]);
  if (receipt.rowCount === 0) {
    return 'duplicate';
  }
  const at = new Date(order.processed_at || order.created_at);
  const identities = identitiesOf(order, source);
  const profile = await findProfile(client, identities);
  const profileId = profile ? profile.id : crypto.randomUUID();
  const inserted = await insertIdentities(client, identities, profileId, at);
  if (!profile && inserted < identities.length) {
    return 'again';
  }
  const properties = JSON.stringify(propertiesOf(order));
  const state = Buffer.from(JSON.stringify({ facts: traitsOf(order), at, event: id }));
  if (profile) {
    await updateProfile(client, profile, order, state, at, now);
  } else {
    await insertProfile(client, profileId, order, state, at, now);
  }
  await insertOrder(client, source, order, profileId, properties, at);
  const context = JSON.stringify({ shopify_event_id: request.get('x-shopify-event-id') });
  await insertInteraction(client, source, id, order, profileId, properties, context, at, now);
  const from = profile ? profile.lifecycle : null;
  const to = profile ? lifecycleOf(Number(profile.orders_count) + 1) : 'new';
  if (from !== to) {
    await insertTransition(client, profileId, from, to, id, at, now);
  }
  await insertWebhook(client, source, request, webhookId, now);
  return 'applied';
}

async function applyInTransaction(source, request, order) {
  const client = await pool.connect();
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await client.query('BEGIN');
      const status = await apply(client, source, request, order);
      await client.query(status === 'applied' ? 'COMMIT' : 'ROLLBACK');
      if (status !== 'again') {
        return status;
      }
    }
    throw new Error('the customer is busy');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

const rawBody = express.raw({ type: '*/*', limit: '5mb' });

app.post('/v1/hooks/:source', rawBody, async (request, response) => {
  if (!signatureIsValid(request.get('x-shopify-hmac-sha256'), request.body)) {
    response.status(401).json({ status: 'refused' });
    return;
  }
  try {
    const order = JSON.parse(request.body.toString('utf8'));
    const status = await applyInTransaction(request.params.source, request, order);
    response.status(200).json({ status });
  } catch (error) {
    console.error(error);
    response.status(503).json({ status: 'failed' });
  }
});

const server = app.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));
server.keepAliveTimeout = 65000;

process.on('SIGTERM', () => {
  server.close(() => pool.end().then(() => process.exit(0)));
  server.closeAllConnections();
});
