//! Which names belong to one organization, by the public suffix list (<https://publicsuffix.org>).
