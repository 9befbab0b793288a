#include "daemon/members.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace tools {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::seconds kMeet{2};
constexpr std::size_t kMostAsked = 64;

std::int64_t seconds_between(base::TimePoint from, base::TimePoint to) {
    return std::chrono::duration_cast<std::chrono::seconds>(to - from).count();
}

}  // namespace

base::Bytes SelfPortrait::encode() const {
    base::Writer out;
    out.text(name.substr(0, kMaxMachineNameBytes)).u64(capacity_bytes).u64(used_bytes).u64(uptime_s);
    return out.take();
}

base::Result<SelfPortrait> SelfPortrait::decode(base::ByteView bytes) {
    base::Reader in{bytes};
    SelfPortrait out;
    out.name = in.text(kMaxMachineNameBytes);
    out.capacity_bytes = in.u64();
    out.used_bytes = in.u64();
    out.uptime_s = in.u64();
    if (!in.complete()) return base::Error{base::Errc::bad_format, "what a member says of itself"};
    return out;
}

struct Members::Asked {
    std::set<base::NodeId> answered;
    std::optional<base::NodeId> refused_by;         // as removed
    std::map<base::NodeId, std::string> endpoints;  // of all who were asked
};

Members::Members(base::NodeEnv env, PeerStack& stack, std::string machine_name)
    : env_{env}, stack_{stack}, name_{std::move(machine_name)}, started_{env.clock.now()} {}

SelfPortrait Members::ours() const {
    const auto usage = stack_.store().usage();
    SelfPortrait out;
    out.name = name_;
    out.capacity_bytes = usage.capacity_bytes;
    out.used_bytes = usage.disk_bytes;
    out.uptime_s = static_cast<std::uint64_t>(seconds_between(started_, env_.clock.now()));
    return out;
}

base::Task<base::Result<base::Message>> Members::answer(base::Message question) const {
    if (question.verb() == kWhere) {
        base::Reader in{question.header};
        const auto id = in.guid();
        if (!in.complete()) co_return base::Error{base::Errc::bad_format, "whom to look for"};
        const auto found = stack_.overlay().find(id);
        base::Writer out;
        out.text(found ? found->address.endpoint : std::string{});
        co_return base::Message(base::Service::diagnostics, kWhere, out.take());
    }
    if (question.verb() != kQuestion) co_return base::Errc::unsupported;
    co_return base::Message(base::Service::diagnostics, kQuestion, ours().encode());
}

base::Task<void> Members::ask(Members* self, std::shared_ptr<Asked> asked, base::Address member,
                              base::TimePoint deadline) {
    const auto id = member.id;
    base::Message question{base::Service::diagnostics, kQuestion, {}};
    const auto answer = co_await self->env_.transport.request(std::move(member), std::move(question), deadline);
    if (!answer) {
        const bool of_us = answer.error() == base::Errc::removed && !self->stack_.network().roster().removed(id);
        if (of_us) asked->refused_by = id;
        self->stack_.overlay().suspect(id);
        co_return;
    }
    auto portrait = SelfPortrait::decode(answer->header);
    if (!portrait) co_return;
    self->seen_[id] = {self->env_.clock.now(), std::move(*portrait)};
    asked->answered.insert(id);
}

base::Task<void> Members::meet_neighbours() {
    for (;;) {
        co_await env_.clock.sleep_for(kMeet);
        const auto asked = std::make_shared<Asked>();
        base::TaskGroup asking{env_.executor};
        for (const auto& node : stack_.overlay().neighbours()) {
            if (!seen_.contains(node.id())) asking.spawn(ask(this, asked, node.address, env_.clock.now() + kPatience));
        }
        co_await asking.join();
    }
}

namespace {

base::Task<void> ask_where(base::NodeEnv env, base::NodeId id, base::Address member, base::TimePoint deadline,
                           std::shared_ptr<std::set<std::string>> found) {
    base::Writer header;
    header.guid(id);
    base::Message question{base::Service::diagnostics, Members::kWhere, header.take()};
    const auto answer = co_await env.transport.request(std::move(member), std::move(question), deadline);
    if (!answer) co_return;
    base::Reader in{answer->header};
    auto endpoint = in.text(base::kMaxEndpointBytes);
    if (in.complete() && !endpoint.empty()) found->insert(std::move(endpoint));
}

}  // namespace

base::Task<std::set<std::string>> where_others_see(base::NodeEnv env, base::NodeId id,
                                                   std::vector<base::Address> members, base::TimePoint deadline) {
    const auto found = std::make_shared<std::set<std::string>>();
    base::TaskGroup asking{env.executor};
    for (auto& member : members) asking.spawn(ask_where(env, id, std::move(member), deadline, found));
    co_await asking.join();
    co_return *found;
}

base::Task<json> Members::list() {
    const auto asked = std::make_shared<Asked>();
    auto& overlay = stack_.overlay();
    auto known = overlay.known_peers(kMostAsked);
    for (const auto& gone : overlay.absent()) known.push_back(gone.node);
    for (const auto& seed : stack_.network().seeds()) {
        if (!overlay.active() && !stack_.network().roster().removed(seed.id)) known.push_back({seed, {}});
    }
    base::TaskGroup asking{env_.executor};
    for (const auto& node : known) {
        if (!asked->endpoints.emplace(node.id(), node.address.endpoint).second) continue;
        asking.spawn(ask(this, asked, node.address, env_.clock.now() + kPatience));
    }
    co_await asking.join();
    removed_by_ = asked->answered.empty() ? asked->refused_by : std::nullopt;

    std::map<base::NodeId, base::TimePoint> left;
    for (const auto& gone : overlay.absent()) left[gone.node.id()] = gone.since;
    const auto now = env_.clock.now();
    const auto self = overlay.self().id();
    const auto portray = [](json& entry, const SelfPortrait& portrait) {
        entry["name"] = portrait.name;
        entry["capacity_bytes"] = portrait.capacity_bytes;
        entry["used_bytes"] = portrait.used_bytes;
    };
    json others = json::array();
    json all = json::array();
    std::erase_if(seen_, [&](const auto& entry) { return stack_.network().roster().find(entry.first) == nullptr; });
    for (const auto& member : stack_.network().roster().members) {
        if (member.revoked || member.role != base::Role::storage) continue;
        json entry{{"id", member.id.hex()}, {"failure_domain", member.failure_domain}};
        if (member.draining) entry["draining"] = true;
        if (member.id == self) {
            portray(entry, ours());
            entry["up_s"] = ours().uptime_s;
            entry["state"] = "here";
            entry["endpoint"] = overlay.self().address.endpoint;
            all.push_back(std::move(entry));
            continue;
        }
        const auto endpoint = asked->endpoints.find(member.id);
        entry["endpoint"] = endpoint == asked->endpoints.end() ? "" : endpoint->second;
        const auto seen = seen_.find(member.id);
        if (seen != seen_.end()) {
            portray(entry, seen->second.said);
            entry["seen_s"] = seconds_between(seen->second.at, now);
        }
        const auto gone = left.find(member.id);
        if (asked->answered.contains(member.id)) {
            entry["up_s"] = seen->second.said.uptime_s;
            entry["state"] = "up";
        } else if (gone != left.end()) {
            entry["state"] = "away";
            entry["away_s"] = seconds_between(gone->second, now);
        } else if (endpoint != asked->endpoints.end()) {
            entry["state"] = "silent";  // still counted on by the ring, and does not answer
        } else {
            entry["state"] = "unknown";  // not met since we started, or too far away to be
        }
        others.push_back(std::move(entry));
    }
    for (auto& entry : others) all.push_back(std::move(entry));
    co_return all;
}

}  // namespace tools
