//! What the stand-in's couriers say: statuses in four languages, couriers, places. Invented, but of the shape and
//! spread of the real thing: some couriers give an offset with their times and some do not, messages come in any
//! script, and a city may be a whole facility.

/// One kind of scan.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) tag: &'static str,
    pub(super) subtag: &'static str,
    pub(super) label: &'static str,
    /// The courier's own code.
    pub(super) raw_tag: &'static str,
    /// AfterShip's event code, where it publishes one.
    pub(super) event: Option<&'static str>,
    /// In English, German, Japanese and Chinese.
    words: [&'static str; 4],
}

impl Status {
    pub(super) fn words(&self, language: Language) -> &'static str {
        self.words[language as usize]
    }
}

/// What a courier's messages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
    Japanese,
    Chinese,
}

impl Language {
    pub(super) fn code(self) -> &'static str {
        ["en", "de", "ja", "zh"][self as usize]
    }
}

/// Where a scan happened.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) city: &'static str,
    pub(super) state: Option<&'static str>,
    pub(super) postal_code: Option<&'static str>,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

/// One courier.
#[derive(Debug)]
pub(super) struct Courier {
    pub(super) slug: &'static str,
    pub(super) service: &'static str,
    pub(super) number_prefix: &'static str,
    pub(super) country: &'static str,
    pub(super) country_name: &'static str,
    pub(super) offset_hours: i8,
    /// Its times come with their offset.
    pub(super) has_offset: bool,
    pub(super) language: Language,
    pub(super) places: &'static [Place],
}

macro_rules! statuses {
    ($($name:ident = $tag:literal $number:literal $label:literal $raw_tag:literal $event:expr, $words:expr;)*) => {
        $(pub(super) static $name: Status = Status {
            tag: $tag,
            subtag: concat!($tag, "_", $number),
            label: $label,
            raw_tag: $raw_tag,
            event: $event,
            words: $words,
        };)*
    };
}

statuses! {
    PENDING = "Pending" "001" "Pending" "" None, ["", "", "", ""];
    INFO = "InfoReceived" "001" "Info Received" "IR" None, [
        "Shipping label created, waiting for the parcel to be handed over",
        "Sendungsdaten elektronisch übermittelt",
        "荷物情報を受け付けました",
        "快件電子信息已經收到",
    ];
    ACCEPTED = "InTransit" "002" "Acceptance scan" "OA" Some("picked_up"), [
        "Parcel accepted at the origin facility",
        "Die Sendung wurde im Start-Paketzentrum angenommen",
        "引受",
        "已攬收，包裹已交予承運商",
    ];
    ARRIVED = "InTransit" "003" "Arrival scan" "AR" None, [
        "Arrived at a sorting facility and is being processed for onward transport",
        "Ankunft im Paketzentrum, die Sendung wird sortiert",
        "中継郵便局に到着しました",
        "包裹已到達分揀中心，等待處理",
    ];
    DEPARTED = "InTransit" "007" "Departure Scan" "DP" None, [
        "Departed from the sorting facility on its way to the next stop",
        "Die Sendung hat das Paketzentrum verlassen",
        "中継郵便局を発送しました",
        "包裹已離開分揀中心，發往下一站",
    ];
    IN_COUNTRY = "InTransit" "004" "Arrived in destination country" "AC" None, [
        "Arrived in the destination country",
        "Ankunft im Zielland",
        "国際交換局に到着しました",
        "航班已抵達目的國",
    ];
    CUSTOMS = "InTransit" "006" "Customs clearance started" "CC" None, [
        "Presented to customs, clearance in progress",
        "Die Sendung wird verzollt",
        "通関手続中",
        "正在辦理清關手續",
    ];
    CLEARED = "InTransit" "005" "Customs clearance completed" "CR" None, [
        "Customs clearance completed, released to the carrier",
        "Verzollung abgeschlossen",
        "税関検査が終了しました",
        "清關完成，包裹已放行",
    ];
    RESOLVED = "InTransit" "008" "Problem resolved" "RS" None, [
        "The problem is solved, transport continues",
        "Hindernis behoben, die Sendung wird weiterbefördert",
        "問題が解決し、輸送を再開しました",
        "問題已解決，包裹繼續運輸",
    ];
    OUT = "OutForDelivery" "001" "Out for Delivery" "OD" None, [
        "Out for delivery, expected before the end of the day",
        "Die Sendung wurde in das Zustellfahrzeug geladen",
        "配達中です",
        "快件正在派送途中",
    ];
    FAILED = "AttemptFail" "001" "Failed Attempt" "FA" Some("delivery_attempt_failed"), [
        "Delivery attempted, another attempt follows on the next working day",
        "Zustellung nicht möglich, neuer Versuch am nächsten Werktag",
        "配達できませんでした",
        "派送未成功，將再次派送",
    ];
    ABSENT = "AttemptFail" "002" "Recipient not available" "NH" Some("delivery_attempt_failed"), [
        "Nobody at the address, a notice was left",
        "Empfänger nicht angetroffen, Benachrichtigung hinterlassen",
        "ご不在のため持ち戻りました",
        "收件人不在，已留通知",
    ];
    PICKUP = "AvailableForPickup" "001" "Available for pickup" "PU" Some("dropped_off_at_collection_point"), [
        "Ready for pickup at the collection point",
        "Die Sendung liegt in der Filiale zur Abholung bereit",
        "窓口でお受け取りいただけます",
        "包裹已到達自提點，請憑碼領取",
    ];
    DELIVERED = "Delivered" "001" "Delivered" "DL" Some("delivered_to_a_location"), [
        "Delivered at the front door",
        "Die Sendung wurde zugestellt",
        "お届け先にお届け済み",
        "包裹已送達",
    ];
    COLLECTED = "Delivered" "002" "Picked up by the customer" "CO" None, [
        "Collected at the collection point",
        "Die Sendung wurde in der Filiale abgeholt",
        "窓口でお渡ししました",
        "包裹已被自提",
    ];
    SIGNED = "Delivered" "003" "Sign by customer" "SG" Some("signed_by_customer"), [
        "Delivered against signature",
        "Die Sendung wurde gegen Unterschrift zugestellt",
        "受領印をいただきお届けしました",
        "包裹已簽收",
    ];
    NEIGHBOR = "Delivered" "005" "Delivered to neighbor" "NB" Some("delivered_to_neighbor"), [
        "Delivered to a neighbour",
        "Die Sendung wurde bei einem Nachbarn abgegeben",
        "近隣の方にお預けしました",
        "包裹已由鄰居代收",
    ];
    HELD = "Exception" "004" "Delayed (Customs clearance)" "HC" Some("held_by_customs"), [
        "Held by customs, documents are being checked",
        "Die Sendung wird vom Zoll geprüft",
        "税関で保留中です",
        "海關扣留，等待查驗",
    ];
    DELAYED = "Exception" "005" "Delayed (External factors)" "DE" None, [
        "Delayed by circumstances beyond the carrier's control",
        "Verzögerung durch äußere Umstände",
        "天候などの影響により遅延しています",
        "因外部原因延誤",
    ];
    PROCESSING = "Exception" "016" "Delayed (Processing issue)" "PI" Some("misrouted"), [
        "Sent to the wrong facility, the parcel is being rerouted",
        "Die Sendung wurde fehlgeleitet und wird umgeleitet",
        "誤送のため転送しています",
        "包裹錯分，正在轉運",
    ];
    RETURNING = "Exception" "010" "Returning to sender" "RT" Some("return_to_sender_requested"), [
        "Undeliverable, on its way back to the sender",
        "Die Sendung wird an den Absender zurückgeschickt",
        "差出人に返送中です",
        "包裹退回中",
    ];
    RETURNED = "Exception" "011" "Returned to sender" "RD" Some("returned_to_sender"), [
        "Returned to the sender",
        "Die Sendung wurde dem Absender zugestellt",
        "差出人に返送済み",
        "包裹已退回寄件人",
    ];
    LOST = "Exception" "013" "Shipment lost" "LO" Some("shipment_lost"), [
        "The parcel cannot be found, an inquiry was opened",
        "Die Sendung ist verloren gegangen, eine Nachforschung läuft",
        "荷物の所在を調査中です",
        "包裹遺失，已開始查找",
    ];
    EXPIRED = "Expired" "001" "Expired" "" None, ["", "", "", ""];
}

const fn place(
    city: &'static str,
    state: Option<&'static str>,
    postal_code: Option<&'static str>,
    latitude: f64,
    longitude: f64,
) -> Place {
    Place { city, state, postal_code, latitude, longitude }
}

static AMERICA: [Place; 5] = [
    place("MEMPHIS TN DISTRIBUTION CENTER", Some("TN"), Some("38118"), 35.04, -89.98),
    place("Louisville", Some("KY"), Some("40213"), 38.19, -85.74),
    place("Columbus", Some("OH"), Some("43217"), 39.82, -82.93),
    place("Jersey City", Some("NJ"), Some("07305"), 40.7, -74.08),
    place("Reno", Some("NV"), None, 39.53, -119.81),
];

static GERMANY: [Place; 4] = [
    place("Paketzentrum Köln-West", Some("NW"), Some("50858"), 50.94, 6.83),
    place("Nürnberg", Some("BY"), Some("90402"), 49.45, 11.08),
    place("Hamburg", None, Some("20095"), 53.55, 10.0),
    place("Zustellbasis Görlitz", Some("SN"), Some("02826"), 51.15, 14.99),
];

static JAPAN: [Place; 4] = [
    place("東京国際郵便局", Some("東京都"), Some("136-0082"), 35.66, 139.83),
    place("川崎東郵便局", Some("神奈川県"), Some("210-0858"), 35.51, 139.73),
    place("新大阪郵便局", Some("大阪府"), Some("530-0001"), 34.73, 135.49),
    place("福岡", None, None, 33.59, 130.4),
];

static CHINA: [Place; 4] = [
    place("深圳分撥中心", Some("廣東"), Some("518000"), 22.54, 114.06),
    place("義烏", Some("浙江"), Some("322000"), 29.31, 120.08),
    place("上海浦東", None, Some("201202"), 31.15, 121.81),
    place("廣州", Some("廣東"), None, 23.13, 113.26),
];

static BRITAIN: [Place; 4] = [
    place("Warrington Mail Centre", None, Some("WA3 6GH"), 53.39, -2.6),
    place("Bristol", Some("England"), Some("BS35 4GG"), 51.45, -2.59),
    place("Edinburgh", Some("Scotland"), Some("EH12 9PQ"), 55.95, -3.19),
    place("Heathrow Worldwide Distribution Centre", None, Some("SL3 0EA"), 51.47, -0.45),
];

const fn american(
    slug: &'static str,
    service: &'static str,
    number_prefix: &'static str,
    has_offset: bool,
) -> Courier {
    Courier {
        slug,
        service,
        number_prefix,
        country: "USA",
        country_name: "United States",
        offset_hours: -5,
        has_offset,
        language: Language::English,
        places: &AMERICA,
    }
}

const fn german(
    slug: &'static str,
    service: &'static str,
    number_prefix: &'static str,
    has_offset: bool,
) -> Courier {
    Courier {
        slug,
        service,
        number_prefix,
        country: "DEU",
        country_name: "Germany",
        offset_hours: 2,
        has_offset,
        language: Language::German,
        places: &GERMANY,
    }
}

const fn chinese(
    slug: &'static str,
    service: &'static str,
    number_prefix: &'static str,
    has_offset: bool,
) -> Courier {
    Courier {
        slug,
        service,
        number_prefix,
        country: "CHN",
        country_name: "China",
        offset_hours: 8,
        has_offset,
        language: Language::Chinese,
        places: &CHINA,
    }
}

/// Six of ten give an offset with their times.
pub(super) static COURIERS: [Courier; 10] = [
    american("usps", "Ground Advantage", "9400", false),
    american("ups", "UPS Ground", "1Z999", true),
    american("fedex", "FedEx Home Delivery", "7949", true),
    american("ontrac", "Ground", "D1001", false),
    german("dhl", "DHL Paket", "JJD00", true),
    german("hermes-de", "Hermes Päckchen", "H1003", true),
    Courier {
        slug: "japan-post",
        service: "ゆうパック",
        number_prefix: "EJ77",
        country: "JPN",
        country_name: "Japan",
        offset_hours: 9,
        has_offset: true,
        language: Language::Japanese,
        places: &JAPAN,
    },
    chinese("yunexpress", "YunExpress Direct", "YT21", false),
    chinese("cainiao", "Cainiao Standard", "LP00", true),
    Courier {
        slug: "royal-mail",
        service: "Tracked 48",
        number_prefix: "RM88",
        country: "GBR",
        country_name: "United Kingdom",
        offset_hours: 1,
        has_offset: false,
        language: Language::English,
        places: &BRITAIN,
    },
];
