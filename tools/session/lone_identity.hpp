// Who the node of a network of one is: a key and a salt of its own, made once. Format: docs/formats/lone-node.md.
#pragma once

#include "base/bytes.hpp"
#include "base/disk.hpp"
#include "base/result.hpp"
#include "base/rng.hpp"
#include "past/node.hpp"

namespace tools {

[[nodiscard]] base::Bytes encode_lone_identity(const past::Identity& identity);
/// Errc::bad_format, unsupported, corrupt.
[[nodiscard]] base::Result<past::Identity> decode_lone_identity(base::ByteView bytes);

/// Of the node whose directory `disk` is; drawn and made durable at first use. Blocks: call from a Workers job or
/// before the loop runs.
[[nodiscard]] base::Result<past::Identity> lone_identity(base::Disk& disk, base::Rng& rng);

}  // namespace tools
