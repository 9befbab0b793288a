// A file of a snapshot in one line for people, or as an object with restic's fields.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "objstore/archive/listing.hpp"

namespace tools {

/// Its path or, with `long_format`, what ls -l would show. Ends in a line feed.
[[nodiscard]] std::string line_of(const objstore::archive::ListedFile& file, bool long_format);
/// Everything but a message_type.
[[nodiscard]] nlohmann::json to_json(const objstore::archive::ListedFile& file);

}  // namespace tools
