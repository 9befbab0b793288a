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

/// Has holders accept a record for `key` under ballots of the test's own, as writes that were broken off leave it.
class Accepts {
  public:
    Accepts(sim::World& world, Cluster& cluster, const base::Guid& key) : world_{world}, cluster_{cluster} {
        request_.key = key;
        for (std::size_t i = 0; i < 5; ++i) request_.value.members.push_back(cluster.machine(i).address());
    }
    void operator()(std::size_t at, std::uint64_t counter, std::uint64_t sequence, std::string_view text) {
        request_.ballot.counter = counter;
        request_.value.record = make_record(sequence, text);
        const auto answer = ask(world_, cluster_, at, Verb::accept, encode(request_));
        EXPECT_TRUE(answer && decode<RegisterReply>(answer->header)->done);
    }

  private:
    sim::World& world_;
    Cluster& cluster_;
    AcceptRequest request_;
};

}  // namespace past::test
