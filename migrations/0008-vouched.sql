-- Whose browser it is, on whose word. True of an anonymous id that a trusted
-- source (a signature, an API key) has named together with the known customer
-- whom it now belongs to; a page's own word makes it false when it moves the id.
-- Pages are told what rules say of such a visitor only.
ALTER TABLE identity ADD COLUMN vouched boolean NOT NULL DEFAULT false;
