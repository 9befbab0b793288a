// What the codecs of this layer share: checked reading of Protocol Buffers, and writing.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/guid.hpp"
#include "base/limits.hpp"
#include "base/transport.hpp"

namespace tapestry {

[[nodiscard]] inline std::string bytes_of(base::ByteView view) { return std::string{base::as_text(view)}; }

template <class Node>
void put(Node* out, const base::Address& address) {
    out->set_id(bytes_of(address.id.view()));
    out->set_endpoint(address.endpoint);
}

template <class Proto>
[[nodiscard]] base::Message wrap(base::Service service, std::uint8_t verb, const Proto& proto,
                                 base::SharedBytes payload = {}) {
    base::Bytes header(proto.ByteSizeLong());
    (void)proto.SerializeToArray(header.data(), static_cast<int>(header.size()));
    return {service, verb, std::move(header), std::move(payload)};
}

constexpr base::Duration kMaxDelay = std::chrono::hours{1};  ///< longer than any way; more is not decoded

[[nodiscard]] inline std::uint64_t microseconds(base::Duration span) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(span).count());
}

template <class Proto>
[[nodiscard]] bool parse(Proto& proto, base::ByteView header) {
    return header.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
           proto.ParseFromArray(header.data(), static_cast<int>(header.size()));
}

/// Reads fields; the first thing that breaks a limit spoils the whole.
class Taker {
  public:
    base::Guid guid(const std::string& bytes) {
        const auto guid = base::Guid::from_bytes(base::as_bytes(bytes));
        ok_ = ok_ && guid.has_value();
        return guid.value_or(base::Guid{});
    }
    template <class Node>
    base::Address node(const Node& in) {
        require(in.endpoint().size() <= base::kMaxEndpointBytes);
        if (!ok_) return {};
        base::Address node{guid(in.id()), in.endpoint()};
        require(!node.id.is_zero());  // nobody's: left out, it says "no node"
        return node;
    }
    base::Duration delay(std::uint64_t us) {
        require(us <= microseconds(kMaxDelay));
        return std::chrono::microseconds{ok_ ? us : 0};
    }
    template <class Repeated>
    std::vector<base::Address> nodes(const Repeated& in, std::size_t limit) {
        std::vector<base::Address> out;
        require(static_cast<std::size_t>(in.size()) <= limit);
        if (!ok_) return out;
        for (const auto& each : in) out.push_back(node(each));
        return out;
    }
    void require(bool holds) { ok_ = ok_ && holds; }
    [[nodiscard]] bool ok() const { return ok_; }

  private:
    bool ok_ = true;
};

}  // namespace tapestry
