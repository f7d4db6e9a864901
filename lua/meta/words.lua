---@meta _

--- The words that rules are written in, for editors that read LuaCATS (lua-language-server).
--
-- Never loaded: only read by editors and by `spec/lua/meta/words_spec.lua`, which compares it
-- with the real words.  How to point an editor here: `rules/README.md`, "In your editor".

---@alias netmove.text string      # names in braces are filled in: "Hello {first_name|friend}"
---@alias netmove.time integer     # a length of time: hours(6), minutes(30), days(2)
---@alias netmove.kind "push"|"sms"|"email"
---@alias netmove.conversion "text"|"number"|"integer"|"boolean"|"date"

---@alias netmove.function fun(event: netmove.event, ctx: netmove.ctx): any
---@alias netmove.plain string|number|boolean
---@alias netmove.value netmove.plain|netmove.from|netmove.condition|netmove.function
---@alias netmove.answer netmove.effect|(netmove.effect|netmove.step)[]|netmove.step|nil|false
---@alias netmove.author fun(event: netmove.event, ctx: netmove.ctx): netmove.answer
---@alias netmove.steps netmove.step|netmove.author|netmove.constant|(netmove.step|netmove.author|netmove.constant)[]
---@alias netmove.effect netmove.send|netmove.expand|netmove.cancel|netmove.delay|netmove.constant|netmove.update|netmove.track
---@alias netmove.constant netmove.hold|netmove.drop

--- What came in; keys in Optimove's spelling whatever the sender's was.
---@class netmove.event
---@field EventTypeID? integer
---@field CampaignID? string
---@field ChannelID? integer
---@field TemplateID? integer
---@field CustomerID? string
---@field TimeStamp? string
---@field PromoCode? string
---@field Notes? string
---@field type? "EVENT"|"PROFILE"|"MESSAGE_LOG"   # of hook events, as all below
---@field name? string
---@field extId? string
---@field time? string|integer
---@field attributes table<string, any>           # always a table
---@field changes table<string, any>              # always a table
---@field user netmove.user                       # always a table
---@field [string] any

---@class netmove.user
---@field email? string
---@field msisdn? string
---@field attributes table<string, any>           # always a table
---@field [string] any

--- What another program's webhook sent, for the functions of `inbound`.
---@class netmove.request
---@field name string
---@field method "GET"|"POST"
---@field query table<string, string>             # always a table
---@field form table<string, string>              # of a form's body; always a table
---@field json table<string|integer, any>         # of a JSON body; always a table
---@field text string                             # the body as it came
---@field headers table<string, string>           # by their names in small letters

---@alias netmove.inbound_answer table|table[]|netmove.constant|nil|false  # an event, or a list of them
---@alias netmove.inbound fun(request: netmove.request, ctx: netmove.ctx): netmove.inbound_answer

--- Time and place; there is no clock.
---@class netmove.ctx
---@field now_ms integer      # since 1970
---@field minute integer      # of the tenant's day
---@field weekday integer     # Monday is 1
---@field date string         # "2024-01-15", the tenant's
---@field recipient? boolean  # true for one recipient of a campaign

--- A message: the word push, sms or email made it.
---@class netmove.message

--- A step: the first of an entry that returns something decides.
---@class netmove.step
---@overload fun(event: netmove.event, ctx: netmove.ctx): netmove.answer

--- True or false by what a value holds.
---@class netmove.condition
---@overload fun(event: netmove.event, ctx?: netmove.ctx): boolean

--- What the event holds at a path.
---@class netmove.from
---@overload fun(event: netmove.event, ctx?: netmove.ctx): any
local from_path = {}

--- Converts what is found.
---@param kind netmove.conversion
---@return netmove.from
function from_path:as(kind) end

--- Makes one text of a list.
---@param separator? string  ", " if left out
---@return netmove.from
function from_path:joined(separator) end

--- Other names for what may be found; what is not named counts as nothing.
---@param names table<netmove.plain, netmove.plain>
---@return netmove.from
function from_path:renamed(names) end

--- Stands in where nothing is found.
---@param fallback netmove.value
---@return netmove.from
function from_path:default(fallback) end

---@class netmove.renamed

-- Messages.

--- At most so many a customer in an hour, a day, a week (from Monday), a month of the tenant's.
---@class netmove.cap
---@field [1] integer
---@field per "hour"|"day"|"week"|"month"

---@class (exact) netmove.push
---@field title? netmove.text|netmove.value                              # the line in bold
---@field body? netmove.text|netmove.value                               # what it says
---@field opens? netmove.text|netmove.value                              # where a tap leads
---@field data? table<string, netmove.value>|netmove.value               # values for the app itself
---@field notification_key? string|integer|netmove.value                 # the Netmera definition that carries it
---@field params? table<string, netmove.value>|netmove.value             # values for that definition
---@field to? netmove.text|netmove.value                                 # an address instead of the one in the profile
---@field expires_in? netmove.time|netmove.value                         # not worth sending any more after this long
---@field cap? netmove.cap|netmove.cap[]|false|netmove.function           # how often a customer may get it
---@field category? string                                              # whose caps count for it, too

---@class (exact) netmove.sms
---@field text? netmove.text|netmove.value                               # what it says
---@field sender? netmove.text|netmove.value                             # the name or number that people see
---@field message_type? "N"|"C"|netmove.value                            # IYS: N notification, C campaign
---@field recipient_type? "B"|"T"|netmove.value                          # IYS: B person, T merchant
---@field notification_key? string|integer|netmove.value                 # the Netmera definition that carries it
---@field params? table<string, netmove.value>|netmove.value             # values for that definition
---@field to? netmove.text|netmove.value                                 # an address instead of the one in the profile
---@field expires_in? netmove.time|netmove.value                         # not worth sending any more after this long
---@field cap? netmove.cap|netmove.cap[]|false|netmove.function           # how often a customer may get it
---@field category? string                                              # whose caps count for it, too

---@class (exact) netmove.email
---@field subject? netmove.text|netmove.value                            # the subject line
---@field text? netmove.text|netmove.value                               # the plain body
---@field html? netmove.text|netmove.value                               # the HTML body; values are escaped
---@field view? netmove.text|netmove.value                               # the file that holds the body
---@field unsubscribe? boolean|netmove.value                             # false: without the one-click unsubscribe headers
---@field notification_key? string|integer|netmove.value                 # the Netmera definition that carries it
---@field params? table<string, netmove.value>|netmove.value             # values for that definition
---@field to? netmove.text|netmove.value                                 # an address instead of the one in the profile
---@field expires_in? netmove.time|netmove.value                         # not worth sending any more after this long
---@field cap? netmove.cap|netmove.cap[]|false|netmove.function           # how often a customer may get it
---@field category? string                                              # whose caps count for it, too

--- A push: with a body of its own, or with a notification_key of Netmera's.
---@param message netmove.push
---@return netmove.message
function push(message) end

--- An SMS: with a text of its own, or with a notification_key of Netmera's.
---@param message netmove.sms
---@return netmove.message
function sms(message) end

--- An e-mail: a subject with text, html or view, or a notification_key of Netmera's.
---@param message netmove.email
---@return netmove.message
function email(message) end

-- Steps.

--- Sends the message that the event's template stands for.
---@type netmove.step
send_template = nil

--- Stops what is not sent yet: on the event's channel, or on all if it names none.
---@type netmove.step
cancel_campaign = nil

--- Has the campaign's recipients fetched, and runs the steps over each.
---@param steps netmove.steps
---@return netmove.step
function for_each_recipient(steps) end

--- Puts off until `to` what comes between the two; travels with every message of its entry.
---@param from string  "22:00"; already quiet
---@param to string    "09:00"; free again
---@return netmove.step
function quiet_between(from, to) end

--- Runs the steps where the condition holds; else the next step decides.
---@param condition netmove.condition|netmove.from|netmove.function
---@param steps netmove.steps
---@return netmove.step
function when(condition, steps) end

---@class netmove.share
---@field [1] number         # percent, two digits at most after its point
---@field [2]? netmove.steps # without: on to the next step

---@class netmove.split
---@field salt string  # a text of its own: each deals people anew
---@field [integer] netmove.share

--- Deals customers into shares that add up to 100; a customer stays in one for ever.
---@param shares netmove.split
---@return netmove.step
function split(shares) end

---@class netmove.customer
---@field CustomerID netmove.value
---@field [string] netmove.value    # by RealFieldName
---@field [integer] netmove.renamed

--- Writes attributes of the customer at Optimove; keys but CustomerID are RealFieldNames.
---@param attributes netmove.customer
---@return netmove.step
function update_customer(attributes) end

---@class (exact) netmove.track_event
---@field event netmove.value                          # Optimove's name of it: "cart_filled"
---@field customer? netmove.from|netmove.function      # or a visitor
---@field visitor? netmove.from|netmove.function
---@field timestamp? netmove.value                     # the event's own time if left out
---@field context? table<string, netmove.value>

--- Tells Optimove of an event in real time.
---@param event netmove.track_event
---@return netmove.step
function track_event(event) end

--- Runs every step, and gives what all of them give.
---@param steps netmove.steps[]
---@return netmove.step
function all(steps) end

-- Effects.

---@class (exact) netmove.send
---@field effect "send"
---@field channel netmove.kind
---@field message string
---@field to string
---@field customer? string
---@field campaign? string
---@field template? integer
---@field channel_id? integer
---@field content table
---@field expires_in_ms? integer
---@field quiet? table
---@field caps? table[]      # what the daemon counts it under
---@field missing? string[]  # names in texts that had no value

---@class (exact) netmove.expand
---@field effect "expand"
---@field campaign string
---@field channel_id integer
---@field quiet? table

---@class (exact) netmove.cancel
---@field effect "cancel"
---@field campaign string
---@field channel_id? integer

---@class (exact) netmove.delay
---@field effect "delay"
---@field until_time string  # "09:00"

---@class (exact) netmove.hold
---@field effect "hold"
---@field reason string

---@class (exact) netmove.drop
---@field effect "drop"
---@field reason string

---@class (exact) netmove.update
---@field effect "update"
---@field customer string
---@field attributes table<string, netmove.plain>

---@class (exact) netmove.track
---@field effect "track"
---@field event string
---@field customer? string
---@field visitor? string
---@field timestamp string  # "2020-04-12 17:32:06.094 UTC"
---@field context? table<string, netmove.plain>

--- The step that sends a message; with an event, the effect at once.
---@param message string|netmove.message
---@return netmove.step
---@overload fun(message: string|netmove.message, event: netmove.event, ctx: netmove.ctx): netmove.send|netmove.hold
function send(message) end

--- A person should look: the event waits, visibly.
---@param reason string
---@return netmove.hold
function hold(reason) end

--- It is right that nothing happens.
---@param reason string
---@return netmove.drop
function drop(reason) end

-- Values.

--- What the event holds at a path: "extId", "attributes.store", "user.attributes.city".
---@param path string
---@return netmove.from
function from(path) end

--- In update_customer: the named values of a table, under their names at Optimove.
---@param path string                   "changes", "attributes"
---@param names table<string, string>
---@return netmove.renamed
function renamed(path, names) end

---@param n number
---@return netmove.time
function minutes(n) end

---@param n number
---@return netmove.time
function hours(n) end

---@param n number
---@return netmove.time
function days(n) end

--- Whether a value is one of these; of from(...) a condition.
---@param value netmove.from|netmove.function
---@param ... netmove.plain|netmove.plain[]
---@return netmove.condition
---@overload fun(value: any, ...: netmove.plain|netmove.plain[]): boolean
function one_of(value, ...) end

--- Whether a text begins so; of from(...) a condition.
---@param value netmove.from|netmove.function
---@param text string
---@return netmove.condition
---@overload fun(value: any, text: string): boolean
function starts_with(value, text) end

--- Whether the whole text looks so: * any text, ? a character, [a-z], %d, [A-Z]+, %* a star.
---@param value netmove.from|netmove.function
---@param pattern string
---@return netmove.condition
---@overload fun(value: any, pattern: string): boolean
function matches(value, pattern) end

--- JSON that stands inside a text, such as Notes.
---@class netmove.json
json = {}

--- Bad JSON gives nil and why.
---@param text? string
---@return any value
---@return string? wrong
function json.decode(text) end

---@param value any
---@return string
function json.encode(value) end

-- The file.

--- What lib/NAME.lua beside this file returns; for what several tenants share.
---@param name string  small letters, digits and "_"
---@return any
function use(name) end

--- Which message a template stands for: by its number; by campaign and channel; by default.
---@class netmove.templates
---@field default? string
---@field in_campaign? table<string|integer, string|netmove.templates>
---@field on_channel? table<integer, string|netmove.templates>
---@field [integer] string

---@class (exact) netmove.example
---@field given table
---@field gives netmove.effect|netmove.effect[]|table
---@field at? string          # "23:30"; noon if left out
---@field on? string          # "2024-12-31"; a Monday if left out
---@field recipient? boolean  # one recipient of a campaign

---@class (exact) netmove.tenant
---@field name string
---@field time_zone? string                           # "UTC" if left out
---@field messages? table<string, netmove.message>
---@field caps? table<string, netmove.cap|netmove.cap[]>  # by channel, or category of messages
---@field channels? table<integer, netmove.kind>      # Optimove's channel ids
---@field templates? netmove.templates                # Optimove's template ids
---@field events? table<integer, netmove.steps>       # by EventTypeID
---@field hooks? table<string, netmove.steps>         # by the event's name
---@field inbound? table<string, netmove.inbound|table>  # what webhooks from elsewhere become
---@field examples? netmove.example[]                 # run on every load

--- The whole of a file: return tenant { ... }
---@param given netmove.tenant
---@return table
function tenant(given) end
