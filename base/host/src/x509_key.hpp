// The node's key as OpenSSL holds it.
#pragma once

#include "base/crypto.hpp"
#include "openssl_ptr.hpp"

namespace base::host {

[[nodiscard]] PkeyPtr private_key_of(const SigningKey& key);

}  // namespace base::host
