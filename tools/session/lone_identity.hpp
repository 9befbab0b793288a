// Who the node of a network of one is: a key and a salt of its own, made once. Format: docs/formats/lone-node.md.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/disk.hpp"
#include "base/result.hpp"
#include "base/rng.hpp"
#include "past/node.hpp"

namespace tools {

[[nodiscard]] base::Bytes encode_lone_identity(const past::Identity& identity);
/// Errc::bad_format, unsupported, corrupt.
[[nodiscard]] base::Result<past::Identity> decode_lone_identity(base::ByteView bytes);

/// Of the node whose directory `disk` is; nullopt if it has none. These three block: call them from a Workers job or
/// before the loop runs. Errc::corrupt and unsupported name the file.
[[nodiscard]] base::Result<std::optional<past::Identity>> read_lone_identity(base::Disk& disk);
/// Durable when it returns.
[[nodiscard]] base::Result<void> write_lone_identity(base::Disk& disk, const past::Identity& identity);
/// The one that is there, or one that is drawn and made durable.
[[nodiscard]] base::Result<past::Identity> lone_identity(base::Disk& disk, base::Rng& rng);
[[nodiscard]] past::Identity draw_lone_identity(base::Rng& rng);

}  // namespace tools
