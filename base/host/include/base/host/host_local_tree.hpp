// The machine's files, as backup reads and restore makes them.
#pragma once

#include <memory>

#include "base/local_tree.hpp"

namespace base::host {

/// Stateless; needs /proc for the extended attributes of what cannot be opened (links, specials).
[[nodiscard]] std::unique_ptr<LocalTree> make_local_tree();

}  // namespace base::host
