#include "daemon/questions.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/counters.hpp"
#include "cli/base64.hpp"
#include "cli/text.hpp"
#include "daemon/members.hpp"
#include "daemon/published_objects.hpp"
#include "daemon/route_probe.hpp"

namespace tools {

namespace {

using nlohmann::json;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::seconds;

constexpr seconds kLookUpTimeout{20};
constexpr seconds kContactTimeout{5};

template <class T>
using Answer = base::Task<base::Result<T>>;

json describe(const pastry::NodeHandle& node) {
    return {{"id", node.id().hex()}, {"endpoint", node.address.endpoint}, {"failure_domain", node.failure_domain}};
}

json describe(const base::Policy& policy) {
    return {{"version", policy.version},
            {"copies", policy.copies},
            {"min_copies", policy.min_copies},
            {"repair_after_s", policy.repair_after.count() / 1000},
            {"reclaim_grace_s", policy.reclaim_grace.count() / 1000}};
}

json describe(const pastry::Status& status) {
    json neighbours = json::array();
    for (const auto& node : status.leaf_set) neighbours.push_back(describe(node));
    return {{"neighbours", std::move(neighbours)},
            {"converged", status.converged},
            {"table_rows", status.table_rows},
            {"table_entries", status.table_entries},
            {"estimated_nodes", status.estimated_nodes},
            {"sent", status.sent},
            {"received", status.received},
            {"maintenance", status.maintenance},
            {"delivered", status.delivered},
            {"forwarded", status.forwarded},
            {"lost", status.lost},
            {"malformed", status.malformed},
            {"declared_faulty", status.declared_faulty}};
}

json describe(const tapestry::Status& status) {
    return {{"published", status.published},
            {"pointers", status.pointers},
            {"publishers", status.publishers},
            {"pointer_bytes", status.pointer_bytes},
            {"publishes_sent", status.publishes_sent},
            {"bytes_sent", status.bytes_sent},
            {"parcels_lost", status.parcels_lost},
            {"refused", status.refused},
            {"finds_answered", status.finds_answered},
            {"dead_pointers", status.dead_pointers},
            {"denials", status.denials},
            {"lies", status.lies}};
}

json short_ids(const std::vector<base::NodeId>& nodes) {
    json list = json::array();
    for (const auto& node : nodes) list.push_back(node.short_hex());
    return list;
}

json describe(const past::RequestTimes& times) {
    json all = json::object();
    for (std::size_t kind = 0; kind < times.size(); ++kind) {
        const auto& one = times[kind];
        all[std::string{past::name(static_cast<past::RequestKind>(kind))}] = {{"counts", one.counts},
                                                                              {"sum_us", one.sum_us}};
    }
    return all;
}

json describe(const past::NodeStatus& status, std::size_t live_holders) {
    return {{"copies", status.copies},
            {"copies_wanted", status.copies_wanted},
            {"min_copies", status.min_copies},
            {"live_holders", live_holders},
            {"places", status.groups},
            {"blocks", status.blocks},
            {"bytes", status.bytes},
            {"blocks_ours", status.blocks_ours},
            {"blocks_whole", status.blocks_whole},
            {"blocks_moving", status.blocks_moving},
            {"blocks_short", status.blocks_short},
            {"blocks_unchecked", status.blocks_unchecked},
            {"blocks_to_hand_over", status.blocks_to_hand_over},
            {"blocks_surplus", status.blocks_surplus},
            {"backlog_blocks", status.backlog_blocks},
            {"blocks_diverted", status.blocks_diverted},
            {"blocks_for_others", status.blocks_for_others},
            {"bytes_for_others", status.bytes_for_others},
            {"blocks_cached", status.blocks_cached},
            {"bytes_cached", status.bytes_cached},
            {"groups_published", status.groups_published},
            {"blocks_lost", status.blocks_lost},
            {"registers", status.registers},
            {"registers_without_majority", status.registers_without_majority},
            {"registers_missing", short_ids(status.registers_missing)},
            {"pending_reclaims", status.pending_reclaims},
            {"oldest_short_s", status.oldest_short.count()},
            {"refusing", short_ids(status.refusing)},
            {"draining", status.draining},
            {"blocks_to_drain", status.blocks_to_drain},
            {"bytes_to_drain", status.bytes_to_drain},
            {"records_to_drain", status.records_to_drain},
            {"requests", describe(status.times)},
            {"puts", status.puts},
            {"gets", status.gets},
            {"hedged_gets", status.hedged_gets},
            {"cache_hits", status.cache_hits},
            {"gets_of_misplaced", status.gets_of_misplaced},
            {"puts_refused", status.puts_refused},
            {"bytes_repaired", status.bytes_repaired},
            {"bytes_handed_over", status.bytes_handed_over},
            {"bytes_diverted", status.bytes_diverted},
            {"blocks_repaired", status.blocks_repaired},
            {"blocks_taken_home", status.blocks_taken_home},
            {"wrong_blocks", status.wrong_blocks},
            {"corrupt_blocks", status.corrupt_blocks},
            {"scrub",
             {{"period_s", duration_cast<seconds>(status.scrub_period).count()},
              {"began_s", status.scrub_began_ns / 1'000'000'000},
              {"ended_s", status.scrub_ended_ns / 1'000'000'000},
              {"blocks", status.scrub_blocks},
              {"damaged", status.scrub_damaged}}}};
}

json describe(const past::SegmentStore& store) {
    const auto usage = store.usage();
    return {{"blocks", usage.blocks},
            {"unreadable_segments", store.damage().unreadable_segments},
            {"block_bytes", usage.block_bytes},
            {"disk_bytes", usage.disk_bytes},
            {"capacity_bytes", usage.capacity_bytes},
            {"reserve_bytes", usage.reserve_bytes},
            {"index_bytes", usage.index_bytes},
            {"max_index_bytes", usage.max_index_bytes},
            {"read_only", usage.read_only},
            {"state_lost", usage.state_lost}};
}

json describe(const base::host::Counters& counters) {
    return {{"syncs", counters.syncs.load()},
            {"written_bytes", counters.written_bytes.load()},
            {"messages", counters.messages.load()},
            {"sent_bytes", counters.sent_bytes.load()}};
}

/// Errc::bad_argument unless arguments[name] is 1 to 64 hexadecimal digits; they stand for the smallest key that begins
/// with them.
base::Result<base::Guid> key_argument(const json& arguments, const char* name) {
    const auto text = arguments.value(name, std::string{});
    const auto key = text.empty() ? std::nullopt : base::Guid::from_prefix(text);
    if (!key) return base::Error{base::Errc::bad_argument, "'" + text + "' is not 1 to 64 hexadecimal digits"};
    return *key;
}

class Questions {
  public:
    Questions(base::NodeEnv env, PeerStack& stack, const Watch& watch, std::string machine_name)
        : env_{env},
          stack_{stack},
          watch_{watch},
          started_{env.clock.now()},
          members_{env, stack, std::move(machine_name)},
          probe_{env, stack.overlay(),
                 [this](base::Peer, base::Message question) { return members_.answer(std::move(question)); }},
          objects_{env, stack.location()} {}

    Answer<json> status() {
        auto& network = stack_.network();
        auto members = co_await members_.list();
        const auto overlay = stack_.overlay().status();
        const auto is_silent = [](const json& member) { return member["state"] == "silent"; };
        const auto silent = static_cast<std::size_t>(std::ranges::count_if(members, is_silent));
        const auto up = overlay.leaf_set.size() + 1 - std::min(overlay.leaf_set.size(), silent);
        const auto past = stack_.past().status();
        json absent = json::array();
        for (const auto& gone : stack_.overlay().absent()) {
            if (network.roster().removed(gone.node.id())) continue;
            auto node = describe(gone.node);
            node["away_s"] = duration_cast<seconds>(env_.clock.now() - gone.since).count();
            absent.push_back(std::move(node));
        }
        auto overlay_document = describe(overlay);
        overlay_document["absent"] = std::move(absent);
        json document{{"id", network.certificate().id().hex()},
                      {"pid", ::getpid()},
                      {"network", network.network().hex()},
                      {"network_name", network.name()},
                      {"endpoint", env_.transport.self().endpoint},
                      {"state", stack_.is_client() ? "client"
                                : overlay.active   ? "active"
                                                   : "joining"},
                      {"uptime_s", duration_cast<seconds>(env_.clock.now() - started_).count()},
                      {"storage_peers", network.roster().storage_peers()},
                      {"roster_version", network.roster().version},
                      {"policy", describe(network.policy())},
                      {"overlay", std::move(overlay_document)},
                      {"location", describe(stack_.location().status())},
                      {"past", describe(past, up)},
                      {"members", std::move(members)},
                      {"repair", repair(past)},
                      {"store", describe(stack_.store())},
                      {"process", describe(base::host::counters())}};
        if (const auto by = members_.removed_by(); by && !overlay.active) document["removed_by"] = by->hex();
        co_return document;
    }

    Answer<json> network() {
        json document{{"name", stack_.network().name()}};
        co_return document;
    }

    Answer<json> trace(json arguments) {
        BASE_CO_TRY(const auto key, key_argument(arguments, "key"));
        BASE_CO_TRY(const auto hops, co_await stack_.overlay().trace(key, env_.clock.now() + kLookUpTimeout));
        json list = json::array();
        auto self = describe(stack_.overlay().self());
        self["prefix"] = stack_.overlay().self().id().common_prefix(key);
        self["rtt_us"] = 0;
        const bool we_are_root = !hops.empty() && hops.front().node.id() == stack_.overlay().self().id();
        if (!we_are_root) list.push_back(std::move(self));
        for (const auto& hop : hops) {
            auto node = describe(hop.node);
            node["prefix"] = hop.prefix_length;
            node["rtt_us"] = duration_cast<microseconds>(hop.rtt).count();
            list.push_back(std::move(node));
        }
        co_return json{{"key", key.hex()}, {"hops", std::move(list)}};
    }

    Answer<json> ping(json arguments) {
        const auto digits = arguments.value("node", std::string{});
        BASE_CO_TRY(const auto node, find_node(digits));
        const auto rtt = co_await stack_.overlay().ping(node, env_.clock.now() + kLookUpTimeout);
        if (!rtt) co_return rtt.error().with("node " + node.id().short_hex() + " does not answer");
        auto answer = describe(node);
        answer["rtt_us"] = duration_cast<microseconds>(*rtt).count();
        co_return answer;
    }

    Answer<json> route(json arguments) {
        BASE_CO_TRY(const auto key, key_argument(arguments, "key"));
        BASE_CO_TRY(const auto arrival, co_await probe_.send(key, env_.clock.now() + kLookUpTimeout));
        co_return json{{"key", key.hex()},
                       {"root", describe(arrival.root)},
                       {"hops", arrival.hops},
                       {"rtt_us", duration_cast<microseconds>(arrival.rtt).count()}};
    }

    Answer<json> publish(json arguments, bool withdraw) {
        BASE_CO_TRY(const auto object, key_argument(arguments, "object"));
        const auto deadline = env_.clock.now() + kLookUpTimeout;
        if (withdraw) co_return co_await objects_.unpublish(object, deadline);
        co_return co_await objects_.publish(object, deadline);
    }

    Answer<json> locate(json arguments) {
        BASE_CO_TRY(const auto object, key_argument(arguments, "object"));
        const auto began = env_.clock.now();
        BASE_CO_TRY(const auto located, co_await stack_.location().locate(object, began + kLookUpTimeout, true));
        json holders = json::array();
        for (const auto& location : located.holders) {
            holders.push_back({{"id", location.holder.id.hex()},
                               {"endpoint", location.holder.endpoint},
                               {"delay_us", duration_cast<microseconds>(location.delay).count()}});
        }
        json way = json::array();
        for (const auto& node : located.way) way.push_back({{"id", node.id.hex()}, {"endpoint", node.endpoint}});
        co_return json{{"object", object.hex()},
                       {"holders", std::move(holders)},
                       {"way", std::move(way)},
                       {"root", located.root},
                       {"took_us", duration_cast<microseconds>(env_.clock.now() - began).count()}};
    }

    Answer<json> send(json arguments) {
        BASE_CO_TRY(const auto object, key_argument(arguments, "object"));
        const auto replicas = arguments.value("replicas", 1U);
        if (replicas < 1 || replicas > 16) co_return base::Error{base::Errc::bad_argument, "replicas must be 1 to 16"};
        base::SharedBytes message{base::to_bytes(arguments.value("message", std::string{}))};
        const auto deadline = env_.clock.now() + kLookUpTimeout;
        BASE_CO_TRY(const auto reached,
                    co_await stack_.location().send_to_object(object, std::move(message), replicas, deadline));
        co_return json{{"object", object.hex()}, {"reached", reached}};
    }

    Answer<json> invite(json arguments) {
        const auto valid_s = arguments.value("valid_s", std::int64_t{0});
        if (valid_s < 1 || seconds{valid_s} > kLongestInvitation) {
            co_return base::Error{base::Errc::bad_argument, "an invitation is valid from 1 s to a year"};
        }
        BASE_CO_CHECK(co_await act_here());
        const auto now = env_.clock.wall_ns();
        BASE_CO_TRY(const auto token, stack_.network().invite(env_.rng, env_.transport.self().endpoint, now,
                                                              now + valid_s * 1'000'000'000));
        co_return json{{"token", token.text()}, {"valid_s", valid_s}, {"issuer", token.issuer_endpoint}};
    }

    Answer<json> policy(json arguments) {
        auto& network = stack_.network();
        if (!arguments.is_object()) co_return base::Error{base::Errc::bad_argument, "a policy"};
        if (!arguments.empty()) {
            BASE_CO_CHECK(co_await act_here());
            auto next = network.policy();
            const auto copies = arguments.value("copies", unsigned{next.copies});
            if (copies > 16) co_return base::Error{base::Errc::bad_argument, "copies must be 1 to 16"};
            next.copies = static_cast<std::uint8_t>(copies);
            const auto min_copies = arguments.value("min_copies", unsigned{std::min(next.min_copies, next.copies)});
            if (min_copies > 16) co_return base::Error{base::Errc::bad_argument, "min-copies must be 1 to 16"};
            next.min_copies = static_cast<std::uint8_t>(min_copies);
            if (arguments.contains("repair_after_s")) {
                next.repair_after = seconds{arguments["repair_after_s"].get<std::int64_t>()};
            }
            BASE_CO_CHECK(network.change_policy(next));
            stack_.network_changed();
        }
        co_return describe(network.policy());
    }

    Answer<json> remove(json arguments) {
        auto& network = stack_.network();
        BASE_CO_TRY(const auto member, find_member(arguments.value("node", std::string{})));
        if (member.id == network.certificate().id()) {
            co_return base::Error{base::Errc::bad_argument,
                                  "this is the node itself; 'pelago network leave' takes it out of the network"};
        }
        if (network.roster().seat != member.id || !network.is_authority()) BASE_CO_CHECK(co_await act_here());
        if (!member.revoked && !arguments.value("force", false) && co_await is_up(member.id)) {
            co_return base::Error{base::Errc::denied, "node " + member.id.short_hex() +
                                                          " is up: 'pelago network leave' there takes it out in order, "
                                                          "--force removes it all the same"};
        }
        BASE_CO_CHECK(network.remove(member.id));
        stack_.network_changed();
        co_return json{{"node", member.id.hex()}, {"storage_peers", network.roster().storage_peers()}};
    }

    /// "on": true begins, false ends; without it nothing changes. Always answers how far it is.
    Answer<json> drain(json arguments) {
        const auto& us = stack_.network().certificate().id();
        if (arguments.contains("on")) {
            const auto on = arguments["on"].get<bool>();
            if (on && !stack_.network().roster().draining(us)) BASE_CO_CHECK(co_await room_elsewhere());
            BASE_CO_CHECK(co_await stack_.membership().drain(on));
        }
        const auto status = stack_.past().status();
        json away = json::array();
        for (const auto& gone : stack_.overlay().absent()) {
            if (!stack_.network().roster().removed(gone.node.id())) away.push_back(gone.node.id().short_hex());
        }
        co_return json{{"node", us.hex()},
                       {"draining", status.draining},
                       {"blocks", status.blocks_to_drain},
                       {"bytes", status.bytes_to_drain},
                       {"records", status.records_to_drain},
                       {"refusing", short_ids(status.refusing)},
                       {"away", std::move(away)}};
    }

    Answer<json> leave() {
        auto& network = stack_.network();
        if (!stack_.overlay().active()) {
            (void)co_await members_.list();
            const auto by = members_.removed_by();
            if (by) co_return base::Error{base::Errc::removed, "this machine, as node " + by->short_hex() + " says"};
        }
        BASE_CO_CHECK(may_leave());
        const auto& roster = network.roster();
        const auto status = stack_.past().status();
        const bool copies_go = !status.draining && !stack_.is_client() && roster.holders() > network.policy().copies;
        BASE_CO_CHECK(co_await stack_.membership().leave());
        co_return json{{"node", network.certificate().id().hex()},
                       {"network_name", network.name()},
                       {"blocks_short", copies_go ? status.blocks_ours + status.blocks_for_others : 0}};
    }

    Answer<json> address(json arguments) {
        BASE_CO_TRY(const auto member, find_member(arguments.value("node", std::string{})));
        base::Address address;
        address.id = member.id;
        address.endpoint = arguments.value("endpoint", std::string{});
        BASE_CO_CHECK(stack_.contact(address));
        const pastry::NodeHandle node{address, member.failure_domain};
        const auto rtt = co_await stack_.overlay().ping(node, env_.clock.now() + kContactTimeout);
        co_return json{{"node", member.id.hex()}, {"endpoint", address.endpoint}, {"answers", rtt.has_value()}};
    }

    Answer<json> import_authority(json arguments) {
        auto& network = stack_.network();
        const auto file = from_base64(arguments.value("file", std::string{}));
        if (!file) co_return base::Error{base::Errc::bad_argument, "the file of the authority"};
        BASE_CO_CHECK(network.import_authority(*file));
        const auto taken = co_await stack_.membership().take_seat();
        stack_.network_changed();
        auto why_not = taken ? std::string{} : taken.error().message();
        if (!taken && taken.error() == base::Errc::unreachable) {
            why_not += "; if that node is gone for good, go on without it: 'pelago network remove " +
                       network.roster().seat.short_hex() + "'";
        }
        co_return json{
            {"network_name", network.name()}, {"acts_here", network.acts_here()}, {"why_not", std::move(why_not)}};
    }

    base::Task<void> meet_neighbours() { return members_.meet_neighbours(); }

  private:
    /// What is being copied, how fast, and how long it will take.
    json repair(const past::NodeStatus& past) {
        const auto usage = stack_.store().usage();
        const auto average = usage.blocks == 0 ? 0 : usage.block_bytes / usage.blocks;
        const auto rate = watch_.repair_bytes_per_second();
        json out{{"blocks", past.backlog_blocks}, {"bytes", past.backlog_blocks * average}, {"bytes_per_second", rate}};
        if (rate > 0) out["left_s"] = past.backlog_blocks * average / rate;
        return out;
    }

    /// A node with the authority's key that acts elsewhere takes over, in agreement with the one where it acts.
    base::Task<base::Result<void>> act_here() {
        auto& network = stack_.network();
        if (network.acts_here()) co_return base::ok();
        BASE_CO_CHECK(co_await stack_.membership().take_seat());
        stack_.network_changed();
        co_return base::ok();
    }

    base::Task<bool> is_up(base::NodeId node) {
        pastry::NodeHandle handle;
        handle.address.id = node;
        const auto known = stack_.overlay().find(node);
        if (known) handle = *known;
        for (const auto& seed : stack_.network().seeds()) {
            if (!known && seed.id == node) handle.address = seed;
        }
        const auto rtt = co_await stack_.overlay().ping(handle, env_.clock.now() + kContactTimeout);
        co_return rtt.has_value();
    }

    /// What only this node has would be lost to the others.
    base::Result<void> may_leave() {
        const auto& network = stack_.network();
        const auto status = stack_.past().status();
        if (stack_.is_client()) return base::ok();
        if (network.acts_here() && network.roster().storage_peers() > 1) {
            return base::Error{base::Errc::denied,
                               "the network's authority acts here: 'pelago network authority export' it, and 'import' "
                               "it on the machine that shall go on with it"};
        }
        const bool kept = status.blocks > 0 || status.blocks_for_others > 0;
        if (status.draining) {
            if (status.blocks_to_drain == 0 && status.records_to_drain == 0) return base::ok();
            return base::Error{base::Errc::denied,
                               "the node is not drained yet: 'pelago node drain' waits until it is"};
        }
        if (kept && status.copies < 2) {
            return base::Error{base::Errc::denied,
                               "each block has one copy, and this node may have it: 'pelago network leave --drain'"};
        }
        if (kept && (status.blocks_short > 0 || status.backlog_blocks > 0 || status.blocks_unchecked > 0)) {
            return base::Error{base::Errc::denied,
                               "not every block has all its copies yet; wait until 'pelago node "
                               "status' says so, or let the others remove this node"};
        }
        return base::ok();
    }

    /// For what this node keeps, if others have to make copies of it: as far as they say how much they have.
    base::Task<base::Result<void>> room_elsewhere() {
        const auto& network = stack_.network();
        if (network.roster().holders() <= network.policy().copies) co_return base::ok();  // they have all of it
        std::uint64_t room = 0;
        for (const auto& member : co_await members_.list()) {
            const bool takes = member["state"] == "up" && !member.value("draining", false);
            const auto used = member.value("used_bytes", std::uint64_t{0});
            const auto capacity = member.value("capacity_bytes", std::uint64_t{0});
            if (takes && capacity > used) room += capacity - used;
        }
        const auto bytes = stack_.store().usage().block_bytes;
        if (bytes <= room) co_return base::ok();
        co_return base::Error{past::Errc::no_space, "this node keeps " + human_size(bytes) +
                                                        ", and the others have room for " + human_size(room) +
                                                        ": add a machine or room first"};
    }

    base::Result<base::Roster::Member> find_member(const std::string& digits) {
        std::vector<base::Roster::Member> meant;
        for (const auto& member : stack_.network().roster().members) {
            if (!digits.empty() && member.id.hex().starts_with(digits)) meant.push_back(member);
        }
        if (meant.size() == 1) return meant.front();
        if (meant.empty()) return base::Error{base::Errc::not_found, "no member begins with '" + digits + "'"};
        return base::Error{base::Errc::bad_argument, "several nodes begin with '" + digits + "': give more digits"};
    }

    /// The one member that we see whose id begins with these digits.
    base::Result<pastry::NodeHandle> find_node(const std::string& digits) {
        auto known = stack_.overlay().known_peers();
        known.push_back(stack_.overlay().self());
        std::optional<pastry::NodeHandle> found;
        for (const auto& node : known) {
            if (digits.empty() || !node.id().hex().starts_with(digits)) continue;
            if (found && found->id() != node.id()) {
                return base::Error{base::Errc::bad_argument,
                                   "several nodes begin with '" + digits + "': give more digits"};
            }
            found = node;
        }
        if (found) return *found;
        const auto& members = stack_.network().roster().members;
        const auto is_meant = [&](const auto& member) { return member.id.hex().starts_with(digits); };
        const bool member = !digits.empty() && std::ranges::any_of(members, is_meant);
        if (member) return base::Error{base::Errc::unreachable, "no member that is up begins with '" + digits + "'"};
        return base::Error{base::Errc::not_found, "no member begins with '" + digits + "'"};
    }

    base::NodeEnv env_;
    PeerStack& stack_;
    const Watch& watch_;
    base::TimePoint started_;
    Members members_;
    RouteProbe probe_;
    PublishedObjects objects_;
};

}  // namespace

base::Task<void> add_questions(ControlTable& table, base::NodeEnv env, PeerStack& stack, const Watch& watch,
                               std::string machine_name) {
    const auto questions = std::make_shared<Questions>(env, stack, watch, std::move(machine_name));
    table.add("status", [questions](json) { return questions->status(); });
    table.add("network", [questions](json) { return questions->network(); });
    table.add("trace", [questions](json arguments) { return questions->trace(std::move(arguments)); });
    table.add("route", [questions](json arguments) { return questions->route(std::move(arguments)); });
    table.add("ping", [questions](json arguments) { return questions->ping(std::move(arguments)); });
    table.add("publish", [questions](json arguments) { return questions->publish(std::move(arguments), false); });
    table.add("unpublish", [questions](json arguments) { return questions->publish(std::move(arguments), true); });
    table.add("locate", [questions](json arguments) { return questions->locate(std::move(arguments)); });
    table.add("send", [questions](json arguments) { return questions->send(std::move(arguments)); });
    table.add("invite", [questions](json arguments) { return questions->invite(std::move(arguments)); });
    table.add("remove", [questions](json arguments) { return questions->remove(std::move(arguments)); });
    table.add("drain", [questions](json arguments) { return questions->drain(std::move(arguments)); });
    table.add("leave", [questions](json) { return questions->leave(); });
    table.add("address", [questions](json arguments) { return questions->address(std::move(arguments)); });
    table.add("import_authority",
              [questions](json arguments) { return questions->import_authority(std::move(arguments)); });
    table.add("policy", [questions](json arguments) { return questions->policy(std::move(arguments)); });
    constexpr auto meet = [](std::shared_ptr<Questions> held) -> base::Task<void> { co_await held->meet_neighbours(); };
    return meet(questions);
}

}  // namespace tools
