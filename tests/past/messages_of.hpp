// Asking a peer from outside, as a stranger would.
#pragma once

#include "cluster.hpp"

namespace past::test {

inline base::Result<base::Message> ask(sim::World& world, Cluster& cluster, std::size_t peer, Verb verb,
                                       base::Bytes header, base::SharedBytes payload = {}) {
    base::Message message{base::Service::past, static_cast<std::uint8_t>(verb), std::move(header), std::move(payload)};
    return world.run(
        world.env().transport.request(cluster.machine(peer).address(), std::move(message), cluster.in(30s)));
}

/// The same, as one storage peer asks another.
inline base::Result<base::Message> ask_as(Cluster& cluster, std::size_t from, std::size_t peer, Verb verb,
                                          base::Bytes header, base::SharedBytes payload = {}) {
    base::Message message{base::Service::past, static_cast<std::uint8_t>(verb), std::move(header), std::move(payload)};
    auto& machine = cluster.machine(from);
    return *machine.run(
        machine.env().transport.request(cluster.machine(peer).address(), std::move(message), cluster.in(30s)));
}

}  // namespace past::test
