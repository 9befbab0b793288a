// What both tables of this layer share.
#pragma once

#include <chrono>

#include "base/proto_table.hpp"

namespace base::proto {

constexpr In<std::chrono::microseconds> kDelay{std::chrono::hours{1}};  ///< longer than any way
constexpr auto is_somebody = [](const Address& node) { return !node.id.is_zero(); };

}  // namespace base::proto
