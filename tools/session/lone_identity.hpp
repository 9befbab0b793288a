// Who the node of a network of one is: a key and a salt of its own, made once. Format: docs/formats/lone-node.md.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/disk.hpp"
#include "base/result.hpp"
#include "base/rng.hpp"

namespace tools {

/// node_id(key, salt) is the node's id.
struct LoneIdentity {
    base::SigningKey key;
    base::Key salt{};
};

[[nodiscard]] base::Bytes encode_lone_identity(const LoneIdentity& identity);
/// Errc::bad_format, unsupported, corrupt.
[[nodiscard]] base::Result<LoneIdentity> decode_lone_identity(base::ByteView bytes);

/// Of the node whose directory `disk` is; nullopt if it has none. These three block: call them from a Workers job or
/// before the loop runs. Errc::corrupt and unsupported name the file.
[[nodiscard]] base::Result<std::optional<LoneIdentity>> read_lone_identity(base::Disk& disk);
/// Durable when it returns.
[[nodiscard]] base::Result<void> write_lone_identity(base::Disk& disk, const LoneIdentity& identity);
/// The one that is there, or one that is drawn and made durable.
[[nodiscard]] base::Result<LoneIdentity> lone_identity(base::Disk& disk, base::Rng& rng);
[[nodiscard]] LoneIdentity draw_lone_identity(base::Rng& rng);

}  // namespace tools
