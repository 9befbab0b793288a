// How a node signs what it publishes.
#pragma once

#include "base/crypto.hpp"
#include "base/guid.hpp"

namespace tapestry {

/// node_id(key, salt) is the node's id, so an announcement proves whose it is.
struct Identity {
    base::SigningKey key;
    base::Key salt{};
    base::Guid network;
};

}  // namespace tapestry
