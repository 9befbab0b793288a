// What the parts of a node share.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

#include "base/env.hpp"
#include "base/error.hpp"
#include "base/task_group.hpp"
#include "calls.hpp"
#include "past/node.hpp"
#include "priority_throttle.hpp"
#include "registers/quorum.hpp"
#include "replication/hints.hpp"
#include "replication/latencies.hpp"
#include "replication/tagged_put.hpp"

namespace past {

struct Context {
    Context(base::NodeEnv env_in, pastry::Kbr& kbr_in, BlockStore& store_in, MembershipView& membership_in,
            RecordVerifier verifier, Config config_in)
        : env{env_in},
          kbr{kbr_in},
          store{store_in},
          membership{membership_in},
          verify{std::move(verifier)},
          config{config_in},
          latencies{config},
          hints{env.clock, config},
          priority_throttle{env.clock, config},
          calls{env, kbr, config},
          put_bytes{env.executor, config.max_put_bytes_in_flight},
          work{env.executor} {}

    base::NodeEnv env;
    pastry::Kbr& kbr;
    BlockStore& store;
    MembershipView& membership;
    RecordVerifier verify;
    const Config config;
    Latencies latencies;
    Hints hints;
    PriorityThrottle priority_throttle;
    Calls calls;
    NodeStatus counters;
    base::Semaphore put_bytes;
    std::map<base::NodeId, std::size_t> bytes_under_way;  ///< to each holder
    std::function<void(const base::Guid&)> tags_raised;   ///< of blocks of this group that were here before
    base::TaskGroup work;  ///< whatever goes on behind a call; last, so that it ends first

    [[nodiscard]] const base::NodeId& self() const { return kbr.self().id(); }
    [[nodiscard]] base::TimePoint now() const { return env.clock.now(); }
    /// We empty ourselves before we leave: we take no copies, and are asked for what we have.
    [[nodiscard]] bool draining() const { return membership.roster().draining(self()); }
    /// `deadline`, or sooner: one attempt does not use up the time for all.
    [[nodiscard]] base::TimePoint attempt(base::TimePoint deadline, Config::Milliseconds timeout) const {
        return std::min(deadline, now() + timeout);
    }
    base::Task<base::Result<base::Message>> call(base::Address to, Verb verb, base::Bytes header,
                                                 base::SharedBytes payload, base::TimePoint deadline) {
        ++counters.requests_sent;
        base::Message message{base::Service::past, static_cast<std::uint8_t>(verb), std::move(header),
                              std::move(payload)};
        return calls.call(std::move(to), std::move(message), deadline);
    }
    base::Task<base::Result<base::Message>> call(base::Address to, Verb verb, base::Bytes header,
                                                 base::TimePoint deadline) {
        return call(std::move(to), verb, std::move(header), base::SharedBytes{}, deadline);
    }
    /// A client's touch, here. Repair hears of it before and after: whatever it knew of tags may be old.
    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, Tag tag, std::vector<base::Guid> ids) {
        if (tags_raised) tags_raised(group);
        auto held = co_await store.touch(tag, std::move(ids));
        if (tags_raised) tags_raised(group);
        co_return held;
    }
    /// Blocks for a client or from another peer, to be ours. A put of what is here already is a touch: see there.
    base::Task<base::Result<void>> put(base::Guid group, std::vector<Tag> tags, std::vector<Block> blocks,
                                       Cause cause) {
        const bool touches =
            tags_raised && std::ranges::any_of(blocks, [&](const Block& block) { return store.has(block.id); });
        if (touches) tags_raised(group);
        auto stored = co_await put_tagged(store, group, std::move(tags), std::move(blocks), cause);
        if (touches) tags_raised(group);
        co_return stored;
    }
    template <class... Args>
    void log(base::Log::Level level, fmt::format_string<Args...> format, Args&&... args) {
        if (env.log.enabled(level)) {
            env.log.write(level, "past", fmt::format(format, std::forward<Args>(args)...));
        }
    }
};

/// Errors after which another node may do better. Not no_space: who has none has asked others already.
[[nodiscard]] inline bool is_absence(const base::Error& error) {
    return error == base::Errc::unreachable || error == base::Errc::timed_out || error == base::Errc::stopped ||
           error == base::Errc::busy || error == base::Errc::not_a_member || error == base::Errc::removed ||
           error == base::Errc::io_failed || error == base::Errc::read_only;
}

}  // namespace past
