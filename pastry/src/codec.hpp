// Pastry's messages to bytes and back. Decoding checks every length and count, and takes nothing over on an error.
#pragma once

#include "base/result.hpp"
#include "messages.hpp"

namespace pastry {

[[nodiscard]] base::Message encode(const Notice& notice);
[[nodiscard]] base::Message encode(const Lookup& lookup);
[[nodiscard]] base::Message encode(const LookupReply& reply);
[[nodiscard]] base::Message encode_ping();

/// base::Errc::bad_format, or unsupported for a verb that is none of Notice's.
[[nodiscard]] base::Result<Notice> decode_notice(base::Message message);
[[nodiscard]] base::Result<Lookup> decode_lookup(base::ByteView header);
[[nodiscard]] base::Result<LookupReply> decode_lookup_reply(base::ByteView header);

}  // namespace pastry
